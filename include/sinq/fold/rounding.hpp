#pragma once

#include <sinq/finite.hpp>
#include <sinq/half.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <cstring>
#include <limits>
#include <span>

namespace sinq::inline SINQ_ABI::fold {

/// Values that a type cannot hold as well as it holds others.
struct RangeReport {
  Index overflowed = 0;   ///< finite values that became infinite
  Index underflowed = 0;  ///< values below the least normal number that lost digits
};

namespace detail {

/// The stored number, its value in double, and the least normal number of its type.
template <class Stored>
struct Rounded {
  Stored stored;
  double value;
  double least_normal;
};

[[nodiscard]] inline Rounded<std::uint16_t> round_half(double value) noexcept {
  const std::uint16_t bits = double_to_half(value);
  return {bits, static_cast<double>(half_to_float(bits)), 0x1p-14};
}
[[nodiscard]] inline Rounded<std::uint16_t> round_bfloat16(double value) noexcept {
  const std::uint16_t bits = double_to_bfloat16(value);
  return {bits, static_cast<double>(bfloat16_to_float(bits)), 0x1p-126};
}
[[nodiscard]] inline Rounded<float> round_float(double value) noexcept {
  // From here on the nearest float is an infinity; a cast would be undefined.
  constexpr double kRoundsToInfinity = 0x1.ffffffp127;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nearest = value >= kRoundsToInfinity    ? kInfinity
                        : value <= -kRoundsToInfinity ? -kInfinity
                                                      : static_cast<float>(value);
  return {nearest, static_cast<double>(nearest), 0x1p-126};
}
[[nodiscard]] inline Rounded<double> keep_double(double value) noexcept { return {value, value, 0.0}; }

template <class Round>
void round_all(std::span<const double> values, std::byte* out, RangeReport& report, Round&& round) noexcept {
  for (const double value : values) {
    const auto rounded = round(value);
    std::memcpy(out, &rounded.stored, sizeof rounded.stored);
    out += sizeof rounded.stored;
    const double magnitude = value < 0.0 ? -value : value;
    const double stored = rounded.value < 0.0 ? -rounded.value : rounded.value;
    if (is_finite(value) && !is_finite(rounded.value)) ++report.overflowed;
    if (magnitude < rounded.least_normal && stored != magnitude) ++report.underflowed;
  }
}

}  // namespace detail

/// Writes `values`, each rounded once, as `type` to `out` (unaligned, little-endian as all of this library's memory)
/// and adds to `report`.
inline void round_to(ScalarType type, std::span<const double> values, std::byte* out, RangeReport& report) noexcept {
  switch (type) {
    case ScalarType::kF16:
      return detail::round_all(values, out, report, detail::round_half);
    case ScalarType::kBf16:
      return detail::round_all(values, out, report, detail::round_bfloat16);
    case ScalarType::kF32:
      return detail::round_all(values, out, report, detail::round_float);
    case ScalarType::kF64:
      return detail::round_all(values, out, report, detail::keep_double);
  }
}

}  // namespace sinq::inline SINQ_ABI::fold
