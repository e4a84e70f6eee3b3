#pragma once

#include <sinq/detail/kurtosis.hpp>
#include <sinq/detail/nth_smallest.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/finite.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// A power of two near the median rms of a sample of rows: brings the weights to about 1 without reading all of them.
/// The median, because one wild row must not push all others out of f16's range.
[[nodiscard]] inline float estimate_matrix_scale(const MatrixView& w) {
  constexpr Index kSampledRows = 32;
  Vector<double> mean_squares;
  Vector<float> row(static_cast<std::size_t>(w.cols));
  const auto mean_square = [&](Index r) {
    read_rect(w, {r, 0, 1, w.cols}, row.data(), w.cols);
    double sum = 0.0;
    for (const float x : row) sum += static_cast<double>(x) * static_cast<double>(x);
    return sum / static_cast<double>(w.cols);
  };
  const auto collect = [&](Index step) {
    for (Index r = 0; r < w.rows; r += step) {
      const double value = mean_square(r);
      if (is_positive(value)) mean_squares.push_back(value);
    }
  };
  collect(ceil_div(w.rows, kSampledRows));
  if (mean_squares.empty()) collect(1);  // all sampled rows are zero
  if (mean_squares.empty()) return 1.0F;
  return power_of_two_near(nth_smallest(mean_squares.data(), mean_squares.size(), mean_squares.size() / 2));
}

}  // namespace sinq::inline SINQ_ABI::detail
