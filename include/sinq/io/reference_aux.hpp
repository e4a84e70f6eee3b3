#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/half.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sinq::inline SINQ_ABI::io {

/// Scales or zero points in 8 bits, as the SINQ reference's "quantAux" codes them: value = code * step + minimum, seen
/// as a matrix [rows, cols] whose columns have one step and one minimum each. Scales are seen as [32, count / 32], so
/// that a column is every (count / 32)-th of them; zero points as [count, 1].
struct ReferenceAuxCodes {
  Index rows = 0;
  Index cols = 0;
  sinq::detail::Vector<std::uint8_t> codes;  ///< [rows, cols]
  sinq::detail::Vector<float> step;          ///< [cols]
  sinq::detail::Vector<float> minimum;       ///< [cols]
};

/// Rows of the matrix that scales are seen as; their number must be a multiple of it.
inline constexpr Index kReferenceScaleRows = 32;

namespace detail {

/// `value` as the nearest number of a type that the reference computes in: F32, F16 or BF16.
[[nodiscard]] inline float round_to(DType type, float value) noexcept {
  switch (type) {
    case DType::kF16:
      return half_to_float(float_to_half(value));
    case DType::kBf16:
      return bfloat16_to_float(float_to_bfloat16(value));
    default:
      return value;
  }
}

}  // namespace detail

/// Codes `values`, which are finite numbers of `type` (F32, F16 or BF16), under one step and minimum per column of
/// their view as [rows, count / rows]; arithmetic is that of `type`. A constant column has step 0 and codes 0. Throws
/// Errc::kBadShape if the count is not a positive multiple of `rows`.
[[nodiscard]] inline ReferenceAuxCodes encode_reference_aux(std::span<const float> values, Index rows, DType type) {
  const auto count = static_cast<Index>(values.size());
  if (count == 0 || rows < 1 || count % rows != 0) {
    SINQ_THROW(Errc::kBadShape,
               sinq::detail::text("quantAux: ", count, " values are not a positive multiple of ", rows));
  }
  const Index cols = count / rows;
  ReferenceAuxCodes out{rows, cols, sinq::detail::Vector<std::uint8_t>(values.size()), {}, {}};
  for (Index c = 0; c < cols; ++c) {
    const auto value = [&](Index r) { return values[static_cast<std::size_t>(r * cols + c)]; };
    float minimum = value(0), range = 0.0F;
    for (Index r = 1; r < rows; ++r) minimum = std::min(minimum, value(r));
    for (Index r = 0; r < rows; ++r) range = std::max(range, detail::round_to(type, value(r) - minimum));
    const float step = detail::round_to(type, range / 255.0F);
    out.minimum.push_back(minimum);
    out.step.push_back(step);
    for (Index r = 0; r < rows; ++r) {
      const float code = std::nearbyint(detail::round_to(type, detail::round_to(type, value(r) - minimum) / step));
      // Of a constant column, 0 / 0: it has no code. (Not below 0: the comparison with NaN is false.)
      out.codes[static_cast<std::size_t>(r * cols + c)] =
          code > 0.0F ? static_cast<std::uint8_t>(std::min(code, 255.0F)) : std::uint8_t{0};
    }
  }
  return out;
}

/// Decodes to `out` [rows * cols], in the arithmetic of `type`: the product is rounded, then the sum. Throws
/// Errc::kBadShape for an `out` of another size.
inline void decode_reference_aux(const ReferenceAuxCodes& coded, DType type, std::span<float> out) {
  if (out.size() != coded.codes.size()) {
    SINQ_THROW(Errc::kBadShape, sinq::detail::text("reference layout: ", out.size(), " values to decode from ",
                                                   coded.codes.size(), " codes"));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t c = i % static_cast<std::size_t>(coded.cols);
    // The product is exact in double, and no compiler contracts it with a sum in float.
    const auto product = static_cast<float>(static_cast<double>(coded.codes[i]) * static_cast<double>(coded.step[c]));
    out[i] = detail::round_to(type, detail::round_to(type, product) + coded.minimum[c]);
  }
}

}  // namespace sinq::inline SINQ_ABI::io
