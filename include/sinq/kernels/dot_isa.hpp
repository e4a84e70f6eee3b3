#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/kernels/dot_kind.hpp>

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

namespace detail {

/// The vocabulary of byte dot products, on top of `Simd`: one specialisation per tag, all with the same members.
/// `B` is a vector of 4 * kWidth bytes: four columns of kWidth rows, or 4 * kWidth columns of one row.
template <class Tag>
struct Dot;

/// Calls `f` with the tag of `kind`, which must be supported.
template <class F>
decltype(auto) dispatch_dot(DotKind kind, F&& f) {
  switch (kind) {
#if SINQ_X86
    case DotKind::kAvx512Vnni:
      return f(isa::Avx512Vnni{});
    case DotKind::kAvx512:
      return f(isa::Avx512{});
    case DotKind::kAvx2:
      return f(isa::Avx2{});
#endif
#if SINQ_NEON
#if SINQ_NEON_DOT
    case DotKind::kNeonDot:
      return f(isa::NeonDot{});
#endif
    case DotKind::kNeon:
      return f(isa::Neon{});
#endif
    default:
      return f(isa::Portable{});
  }
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
