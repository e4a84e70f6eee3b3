#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Rows of a matrix that are read together when it is walked outside the pipeline.
inline constexpr Index kWalkRows = 16;

/// Calls f(first row, rows, floats [rows][cols]) over the whole matrix, a few rows at a time.
template <class F>
void for_each_rows(const MatrixView& w, InputRounding rounding, F&& f) {
  Vector<float> buffer(static_cast<std::size_t>(std::min(kWalkRows, w.rows) * w.cols));
  for (Index r = 0; r < w.rows; r += kWalkRows) {
    const Index count = std::min(kWalkRows, w.rows - r);
    read_rect(w, {r, 0, count, w.cols}, buffer.data(), w.cols);
    if (rounding == InputRounding::kF16) {
      for (float& x : buffer) x = half_to_float(float_to_half(x));
    }
    f(r, count, static_cast<const float*>(buffer.data()));
  }
}

/// Fourth moment over squared variance of the whole matrix (normal = 3), the reference's gate: variance is taken as at
/// least 1e-6. NaN if the matrix holds one.
[[nodiscard]] inline double kurtosis(const MatrixView& w, InputRounding rounding = InputRounding::kNone) {
  const double count = static_cast<double>(w.rows) * static_cast<double>(w.cols);
  double sum = 0.0;
  const auto each = [&](auto&& f) {
    for_each_rows(w, rounding, [&](Index, Index rows, const float* x) {
      for (Index i = 0; i < rows * w.cols; ++i) f(static_cast<double>(x[i]));
    });
  };
  each([&](double x) { sum += x; });
  const double mean = sum / count;
  double second = 0.0, fourth = 0.0;
  each([&](double x) {
    const double d2 = (x - mean) * (x - mean);
    second += d2;
    fourth += d2 * d2;
  });
  const double variance = std::max(second / count, 1e-6);
  return fourth / count / (variance * variance);
}

}  // namespace sinq::inline SINQ_ABI::detail
