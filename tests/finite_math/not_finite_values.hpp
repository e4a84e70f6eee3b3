#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace sinq::test {

/// NaN, Inf and -Inf, made where the compiler does not see it.
inline std::array<float, 3> not_finite_values() {
  std::array<float, 3> out{};
  const volatile std::uint32_t bits[] = {0x7fc00000U, 0x7f800000U, 0xff800000U};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<float>(std::uint32_t{bits[i]});
  return out;
}

/// Asked of the bits: what std::isfinite says under these flags is what is tested.
inline bool has_finite_bits(const float& x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U; }

}  // namespace sinq::test
