#pragma once

#include <sinq/abi.hpp>
#include <sinq/finite.hpp>

#include <bit>
#include <cstdint>
#include <limits>

namespace sinq::inline SINQ_ABI {

/// The float nearest to the IEEE binary16 number in `bits` (exact; subnormals, Inf and NaN kept).
[[nodiscard]] constexpr float half_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7fffU;
  if (magnitude >= 0x7c00U) return std::bit_cast<float>(sign | 0x7f800000U | ((magnitude & 0x3ffU) << 13));
  if (magnitude >= 0x0400U) return std::bit_cast<float>(sign | ((magnitude << 13) + ((127U - 15U) << 23)));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24F;
  return sign != 0 ? -subnormal : subnormal;
}

/// The binary16 number nearest to `value`: half to even, overflow to Inf, NaN stays NaN.
[[nodiscard]] constexpr std::uint16_t float_to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);  // 65520 rounds to Inf
  if (magnitude >= 0x38800000U) {                                                   // 2^-14, the least normal
    const std::uint32_t rebased = magnitude - ((127U - 15U) << 23);
    return static_cast<std::uint16_t>(sign | ((rebased + 0x0fffU + ((rebased >> 13) & 1U)) >> 13));
  }
  // Adding 0.5 puts the 2^-24 steps of the subnormals at float's last bit, where the hardware rounds half to even.
  const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
  return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
}

/// The float with the upper half `bits` (bfloat16; exact).
[[nodiscard]] constexpr float bfloat16_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// The bfloat16 number nearest to `value`: half to even, NaN stays NaN.
[[nodiscard]] constexpr std::uint16_t float_to_bfloat16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x0040U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

namespace detail {

/// `value` cut to float, its last bit set if anything was cut off: what is then rounded to a shorter type is what
/// `value` rounds to at once. Infinite beyond float's range.
[[nodiscard]] constexpr float round_to_odd(double value) noexcept {
  if (is_nan(value)) return static_cast<float>(value);
  const double magnitude = value < 0.0 ? -value : value;
  constexpr double kMost = 0x1.fffffep127;
  if (magnitude > kMost)
    return value < 0.0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  const auto nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value) return nearest;
  const bool beyond = (nearest < 0.0F ? -static_cast<double>(nearest) : static_cast<double>(nearest)) > magnitude;
  return std::bit_cast<float>((std::bit_cast<std::uint32_t>(nearest) - (beyond ? 1U : 0U)) | 1U);
}

}  // namespace detail

/// The binary16 number nearest to `value`, rounded once: half to even, overflow to Inf, NaN stays NaN.
[[nodiscard]] constexpr std::uint16_t double_to_half(double value) noexcept {
  return float_to_half(detail::round_to_odd(value));
}

/// The bfloat16 number nearest to `value`, rounded once: half to even, overflow to Inf, NaN stays NaN.
[[nodiscard]] constexpr std::uint16_t double_to_bfloat16(double value) noexcept {
  return float_to_bfloat16(detail::round_to_odd(value));
}

}  // namespace sinq::inline SINQ_ABI
