#pragma once

#include <sinq/types.hpp>

#include <bit>
#include <cstdint>

/// Whether numbers are NaN or Inf, asked of their bits. Programs are compiled with -Ofast or -ffinite-math-only, and
/// compilers then answer std::isfinite, x != x and comparisons with NaN without looking. Numbers come by reference, and
/// are best asked about where they were read: of what arithmetic gives, such compilers may assume anything.
namespace sinq::inline SINQ_ABI {

/// Neither NaN nor Inf.
[[nodiscard]] constexpr bool is_finite(const float& x) noexcept {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U;
}
[[nodiscard]] constexpr bool is_finite(const double& x) noexcept {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000U) != 0x7ff0000000000000U;
}

/// NaN.
[[nodiscard]] constexpr bool is_nan(const float& x) noexcept {
  return (std::bit_cast<std::uint32_t>(x) & 0x7fffffffU) > 0x7f800000U;
}
[[nodiscard]] constexpr bool is_nan(const double& x) noexcept {
  return (std::bit_cast<std::uint64_t>(x) & 0x7fffffffffffffffU) > 0x7ff0000000000000U;
}

/// Positive, and neither NaN nor Inf.
template <class Real>
[[nodiscard]] constexpr bool is_positive(const Real& x) noexcept {
  return is_finite(x) && x > Real{0};
}

/// 0 or positive, and neither NaN nor Inf.
template <class Real>
[[nodiscard]] constexpr bool is_not_negative(const Real& x) noexcept {
  return is_finite(x) && x >= Real{0};
}

/// The first of `count` numbers that is NaN or Inf; `count` if there is none.
[[nodiscard]] inline Index first_not_finite(const float* x, Index count) noexcept {
  Index i = 0;
  while (i < count && is_finite(x[i])) ++i;
  return i;
}

}  // namespace sinq::inline SINQ_ABI
