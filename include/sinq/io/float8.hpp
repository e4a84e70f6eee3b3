#pragma once

#include <sinq/half.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sinq::inline SINQ_ABI::io {

/// The value of an F8_E4M3 code (E4M3FN: 1 sign, 4 exponent and 3 mantissa bits, bias 7, up to 448): exact. There is no
/// infinity; 0x7f and 0xff are NaN.
[[nodiscard]] constexpr float e4m3_to_float(std::uint8_t code) noexcept {
  const std::uint32_t sign = (code & 0x80U) << 24, magnitude = code & 0x7fU;
  if (magnitude == 0x7fU) return std::bit_cast<float>(sign | 0x7fc00000U);
  if (magnitude >= 0x08U) return std::bit_cast<float>(sign | ((magnitude << 20) + ((127U - 7U) << 23)));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-9F;
  return sign != 0 ? -subnormal : subnormal;
}

/// The value of an F8_E5M2 code, the upper half of a binary16 number: exact, infinities and NaN kept.
[[nodiscard]] constexpr float e5m2_to_float(std::uint8_t code) noexcept {
  return half_to_float(static_cast<std::uint16_t>(code << 8));
}

namespace detail {

/// The values of all codes of an 8-bit type.
template <float (*Decode)(std::uint8_t) noexcept>
inline constexpr std::array<float, 256> kFloat8Values = [] {
  std::array<float, 256> out{};
  for (std::size_t code = 0; code < out.size(); ++code) out[code] = Decode(static_cast<std::uint8_t>(code));
  return out;
}();

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI::io
