#pragma once

#include <sinq/isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// The vocabulary that kernel files are written in: one specialisation per instruction set, all with the same members.
/// `F` is a vector of kWidth floats, `I` of as many int32, `M` a mask. Values are in lane order everywhere.
template <class Tag>
struct Simd;

}  // namespace sinq::inline SINQ_ABI::detail

#include <sinq/detail/simd_portable.hpp>
#if SINQ_X86
#include <sinq/detail/simd_avx2.hpp>
#include <sinq/detail/simd_avx512.hpp>
#endif
#if SINQ_NEON
#include <sinq/detail/simd_neon.hpp>
#endif
