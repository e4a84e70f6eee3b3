// No #pragma once: included once per kernel file, to compile it once per instruction set.
//
//   #define SINQ_KERNEL "sinq/normalize/sinkhorn_kernel.hpp"
//   #include <sinq/detail/for_each_isa.hpp>
//
// The file sees SINQ_ISA (a tag of isa.hpp), SINQ_TARGET (the attribute that each of its functions carries) and
// SINQ_INLINE (instead of it, for helpers that must not become calls), and specialises a class template for the tag.
// A kernel that has a form of its own for plain C++ defines SINQ_VECTORS_ONLY before the include.
//
// One source, one symbol per instruction set, no -m flags. (Attributes do not reach a lambda from the function around
// it, and `#pragma GCC target` differs between g++ and clang: hence the macro.)
#include <sinq/detail/simd.hpp>
#include <sinq/isa.hpp>

#ifdef SINQ_KERNEL

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 reports its own AVX-512 intrinsics, which start from an undefined register.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#ifndef SINQ_VECTORS_ONLY
#define SINQ_ISA ::sinq::isa::Portable
#define SINQ_TARGET
#define SINQ_INLINE static inline
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif
#undef SINQ_VECTORS_ONLY

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
#endif

#if SINQ_NEON
#define SINQ_ISA ::sinq::isa::Neon
#define SINQ_TARGET
#define SINQ_INLINE __attribute__((always_inline)) static inline
#include SINQ_KERNEL
#undef SINQ_ISA
#undef SINQ_TARGET
#undef SINQ_INLINE
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#undef SINQ_KERNEL
#endif
