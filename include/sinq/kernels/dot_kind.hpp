#pragma once

#include <sinq/isa.hpp>

#include <cstdint>

#if SINQ_NEON && defined(__linux__)
#include <sys/auxv.h>
#endif

/// Whether the compiler offers sdot without an -march flag (clang 14 does not).
#if SINQ_NEON && (defined(__ARM_FEATURE_DOTPROD) || (defined(__GNUC__) && !defined(__clang__)))
#define SINQ_NEON_DOT 1
#else
#define SINQ_NEON_DOT 0
#endif

namespace sinq::inline SINQ_ABI::detail {

/// How a machine multiplies bytes: more kinds than instruction sets, because some machines lack an instruction.
enum class DotKind : std::uint8_t {
  kPortable,
  kNeon,
  kNeonDot,  ///< with sdot of Armv8.2
  kAvx2,
  kAvx512,
  kAvx512Vnni,
};

/// Whether this machine runs `kind`.
[[nodiscard]] inline bool supported(DotKind kind) noexcept {
  switch (kind) {
    case DotKind::kPortable:
      return true;
    case DotKind::kNeon:
      return sinq::supported(Isa::kNeon);
    case DotKind::kNeonDot:
#if SINQ_NEON_DOT && defined(__linux__)
    {
      constexpr unsigned long kAsimdDp = 1UL << 20;
      return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
    }
#elif defined(__ARM_FEATURE_DOTPROD)
      return true;
#else
      return false;
#endif
    case DotKind::kAvx2:
      return sinq::supported(Isa::kAvx2);
    case DotKind::kAvx512:
      return sinq::supported(Isa::kAvx512);
    case DotKind::kAvx512Vnni:
#if SINQ_X86
      return sinq::supported(Isa::kAvx512) && __builtin_cpu_supports("avx512vnni");
#else
      return false;
#endif
  }
  return false;
}

/// The best kind that this machine runs under `limit`.
[[nodiscard]] inline DotKind best_dot(Isa limit) noexcept {
  static const bool has_vnni = supported(DotKind::kAvx512Vnni);
  static const bool has_neon_dot = supported(DotKind::kNeonDot);
  switch (resolve(limit)) {
    case Isa::kAvx512:
      return has_vnni ? DotKind::kAvx512Vnni : DotKind::kAvx512;
    case Isa::kAvx2:
      return DotKind::kAvx2;
    case Isa::kNeon:
      return has_neon_dot ? DotKind::kNeonDot : DotKind::kNeon;
    default:
      return DotKind::kPortable;
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
