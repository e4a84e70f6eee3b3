#pragma once

#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/trellis_source.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct TrellisMatvec;

}  // namespace sinq::inline SINQ_ABI::detail

// The decoder once more for what multiplies while it decodes.
#if SINQ_X86
#define SINQ_ISA ::sinq::isa::Avx512Vnni
#define SINQ_TARGET SINQ_TARGET_AVX512VNNI
#define SINQ_INLINE SINQ_INLINE_AVX512VNNI
#include <sinq/packing/trellis_decoder_kernel.hpp>
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif
#if SINQ_NEON_DOT
#define SINQ_ISA ::sinq::isa::NeonDot
#define SINQ_TARGET SINQ_TARGET_NEON_DOT
#define SINQ_INLINE SINQ_INLINE_NEON_DOT
#include <sinq/packing/trellis_decoder_kernel.hpp>
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif

#define SINQ_KERNEL <sinq/kernels/trellis_matvec_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
