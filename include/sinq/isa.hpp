#pragma once

#include <sinq/abi.hpp>

#include <cstdint>
#include <string_view>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define SINQ_X86 1
#include <cpuid.h>
#else
#define SINQ_X86 0
#endif
#if defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#define SINQ_NEON 1
#else
#define SINQ_NEON 0
#endif

/// Before a loop of a constant few rounds over an array of vectors: unrolled at -O2 too, so that they stay in
/// registers.
#if defined(__clang__)
#define SINQ_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define SINQ_UNROLL _Pragma("GCC unroll 16")
#else
#define SINQ_UNROLL
#endif

namespace sinq::inline SINQ_ABI {

/// Instruction sets in ascending order of preference. As an argument it is a limit: the best one that this machine has
/// and that does not exceed it is run, so `kBest` means "whatever is fastest here".
enum class Isa : std::uint8_t {
  kPortable,    ///< no intrinsics
  kNeon,        ///< aarch64 Advanced SIMD
  kAvx2,        ///< AVX2, FMA, F16C
  kAvx512,      ///< AVX-512 F, BW, VL, DQ
  kBest = 255,  ///< no limit
};

/// Tag types, one per instruction set: template arguments of every hot loop, so that each has symbols of its own.
namespace isa {
struct Portable {
  static constexpr Isa kIsa = Isa::kPortable;
};
struct Neon {
  static constexpr Isa kIsa = Isa::kNeon;
};
struct Avx2 {
  static constexpr Isa kIsa = Isa::kAvx2;
};
struct Avx512 {
  static constexpr Isa kIsa = Isa::kAvx512;
};
}  // namespace isa

[[nodiscard]] constexpr std::string_view name(Isa isa) noexcept {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kNeon:
      return "neon";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kBest:
      return "best";
  }
  return "unknown";
}

/// Whether this machine runs `isa`.
[[nodiscard]] inline bool supported(Isa isa) noexcept {
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kNeon:
      return SINQ_NEON != 0;
#if SINQ_X86
    case Isa::kAvx2: {
      // clang 14's __builtin_cpu_supports does not know f16c: bit 29 of ecx of leaf 1.
      unsigned a = 0, b = 0, c = 0, d = 0;
      const bool f16c = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1U << 29)) != 0;
      return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    case Isa::kAvx512:
      return supported(Isa::kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
    default:
      return false;
  }
}

/// The instruction set that runs under `limit` on this machine.
[[nodiscard]] inline Isa resolve(Isa limit) noexcept {
  static const bool has_avx512 = supported(Isa::kAvx512);
  static const bool has_avx2 = supported(Isa::kAvx2);
  if (has_avx512 && limit >= Isa::kAvx512) return Isa::kAvx512;
  if (has_avx2 && limit >= Isa::kAvx2) return Isa::kAvx2;
  if (SINQ_NEON != 0 && limit >= Isa::kNeon) return Isa::kNeon;
  return Isa::kPortable;
}

/// Calls `f` with the tag of `resolve(limit)`: the one place where an instruction set is chosen.
template <class F>
decltype(auto) dispatch(Isa limit, F&& f) {
  switch (resolve(limit)) {
#if SINQ_X86
    case Isa::kAvx512:
      return f(isa::Avx512{});
    case Isa::kAvx2:
      return f(isa::Avx2{});
#endif
#if SINQ_NEON
    case Isa::kNeon:
      return f(isa::Neon{});
#endif
    default:
      return f(isa::Portable{});
  }
}

}  // namespace sinq::inline SINQ_ABI
