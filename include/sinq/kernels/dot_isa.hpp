#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/isa.hpp>

#if SINQ_NEON && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace sinq::inline SINQ_ABI {

namespace isa {
/// AVX-512 with byte dot products (VNNI): one instruction where `Avx512` takes three.
struct Avx512Vnni {
  static constexpr Isa kIsa = Isa::kAvx512;
};
/// Advanced SIMD with byte dot products (sdot of Armv8.2).
struct NeonDot {
  static constexpr Isa kIsa = Isa::kNeon;
};
}  // namespace isa

/// Whether the compiler offers sdot without an -march flag (clang 14 does not).
#if SINQ_NEON && (defined(__ARM_FEATURE_DOTPROD) || (defined(__GNUC__) && !defined(__clang__)))
#define SINQ_NEON_DOT 1
#else
#define SINQ_NEON_DOT 0
#endif

namespace detail {

/// The vocabulary of byte dot products, on top of `Simd`: one specialisation per tag, all with the same members.
/// `B` is a vector of 4 * kWidth bytes: four columns of kWidth rows, or 4 * kWidth columns of one row.
template <class Tag>
struct Dot;

[[nodiscard]] inline bool supports_vnni() noexcept {
#if SINQ_X86
  static const bool has = supported(Isa::kAvx512) && __builtin_cpu_supports("avx512vnni");
  return has;
#else
  return false;
#endif
}

[[nodiscard]] inline bool supports_neon_dot() noexcept {
#if SINQ_NEON_DOT && defined(__linux__)
  constexpr unsigned long kAsimdDp = 1UL << 20;
  static const bool has = (getauxval(AT_HWCAP) & kAsimdDp) != 0;
  return has;
#elif defined(__ARM_FEATURE_DOTPROD)
  return true;
#else
  return false;
#endif
}

/// Calls `f` with the tag of the best dot products under `limit`.
template <class F>
decltype(auto) dispatch_dot(Isa limit, F&& f) {
  switch (resolve(limit)) {
#if SINQ_X86
    case Isa::kAvx512:
      return supports_vnni() ? f(isa::Avx512Vnni{}) : f(isa::Avx512{});
    case Isa::kAvx2:
      return f(isa::Avx2{});
#endif
#if SINQ_NEON
    case Isa::kNeon:
#if SINQ_NEON_DOT
      if (supports_neon_dot()) return f(isa::NeonDot{});
#endif
      return f(isa::Neon{});
#endif
    default:
      return f(isa::Portable{});
  }
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
