// No #pragma once: included once per kernel file, to compile it once per kind of byte dot product. As
// detail/for_each_isa.hpp, with the tags of kernels/dot_isa.hpp; the file also sees SINQ_INLINE for helpers that must
// not become calls, and SINQ_UNROLL_VECTORS before loops whose arrays must become registers (not for plain C++).
#include <sinq/kernels/dots.hpp>

#ifdef SINQ_KERNEL

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
// g++ 12 reports its own AVX-512 intrinsics, which start from an undefined register.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define SINQ_ISA ::sinq::isa::Portable
#define SINQ_TARGET
#define SINQ_INLINE static inline
#define SINQ_UNROLL_VECTORS
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#undef SINQ_UNROLL_VECTORS

#define SINQ_UNROLL_VECTORS SINQ_UNROLL

#if SINQ_X86
#define SINQ_ISA ::sinq::isa::Avx2
#define SINQ_TARGET SINQ_TARGET_AVX2
#define SINQ_INLINE SINQ_INLINE_AVX2
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE

#define SINQ_ISA ::sinq::isa::Avx512
#define SINQ_TARGET SINQ_TARGET_AVX512
#define SINQ_INLINE SINQ_INLINE_AVX512
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE

#define SINQ_ISA ::sinq::isa::Avx512Vnni
#define SINQ_TARGET SINQ_TARGET_AVX512VNNI
#define SINQ_INLINE SINQ_INLINE_AVX512VNNI
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif

#if SINQ_NEON
#define SINQ_ISA ::sinq::isa::Neon
#define SINQ_TARGET
#define SINQ_INLINE __attribute__((always_inline)) static inline
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE

#if SINQ_NEON_DOT
#define SINQ_ISA ::sinq::isa::NeonDot
#define SINQ_TARGET SINQ_TARGET_NEON_DOT
#define SINQ_INLINE SINQ_INLINE_NEON_DOT
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#undef SINQ_UNROLL_VECTORS
#undef SINQ_KERNEL
#endif
