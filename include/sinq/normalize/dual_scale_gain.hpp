#pragma once

#include <sinq/normalize/tile_deviations.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// Whether one column's factor stands out so far that its weights, coarsened by it, may cost more than all others gain.
[[nodiscard]] inline bool has_dominant_column(const float* inv_col, Index cols) noexcept {
  constexpr float kDominant = 6.0F;  // times the mean of the squares; lognormal factors of sigma 0.3 stay below 4
  float most = 0.0F, sum = 0.0F;
  for (Index c = 0; c < cols; ++c) {
    const float square = 1.0F / (inv_col[c] * inv_col[c]);
    most = std::max(most, square);
    sum += square;
  }
  return most * static_cast<float>(cols) > kDominant * sum;
}

/// Squared error of row r on a min/max grid of `tile.steps` steps (one step: the mean +- the mean deviation), its
/// weights divided by the columns' factors or, if `inv_col` is null, as they are.
[[nodiscard]] inline double row_error(const TileView& tile, Index r, const float* inv_col) noexcept {
  const auto inverse = [&](Index c) { return inv_col == nullptr ? 1.0 : static_cast<double>(inv_col[c]); };
  const auto at = [&](Index c) { return static_cast<double>(tile.row(r)[c]) * inverse(c); };
  const auto count = static_cast<double>(tile.cols), steps = static_cast<double>(tile.steps);
  double low = std::numeric_limits<double>::infinity(), high = -low, sum = 0.0;
  for (Index c = 0; c < tile.cols; ++c) {
    low = std::min(low, at(c));
    high = std::max(high, at(c));
    sum += at(c);
  }
  if (steps == 1.0) {
    double deviation = 0.0;
    for (Index c = 0; c < tile.cols; ++c) deviation += std::abs(at(c) - sum / count);
    low = (sum - deviation) / count;
    high = (sum + deviation) / count;
  }
  const double step = (high - low) / steps;
  if (!(step > 0.0)) return 0.0;
  double error = 0.0;
  for (Index c = 0; c < tile.cols; ++c) {
    const double u = (at(c) - low) / step;
    const double d = (std::clamp(std::round(u), 0.0, steps) - u) * step / inverse(c);
    error += d * d;
  }
  return error;
}

/// Whether the column factors (given as inverses) fail to lower the squared error of a min/max grid of `tile.steps`
/// steps by a twentieth. An element's error is that of its row's grid times its column's factor; row factors cancel.
/// Rows whose grid is coarser than most of their weights lose those weights instead, and are rounded to see how much.
[[nodiscard]] inline bool gains_nothing(const TileView& tile, const float* inv_col, Scratch& scratch, Isa limit) {
  constexpr double kLeastGain = 0.05;
  const Index padded = round_up(tile.rows, kTileStride);
  float* memory = scratch.floats(6 * padded);
  const RowRanges rows{
      memory, memory + padded, memory + 2 * padded, memory + 3 * padded, memory + 4 * padded, memory + 5 * padded};
  dispatch(limit, [&](auto tag) { SinkhornSteps<decltype(tag)>::ranges(tile, inv_col, rows); });
  const double count = static_cast<double>(tile.cols);
  const double per_range = 1.0 / (12.0 * static_cast<double>(tile.steps) * static_cast<double>(tile.steps));
  double before = 0.0, after = 0.0, factor = 0.0;
  for (Index c = 0; c < tile.cols; ++c) {
    factor += 1.0 / (static_cast<double>(inv_col[c]) * static_cast<double>(inv_col[c]));
  }
  for (Index r = 0; r < tile.rows; ++r) {
    const double low = static_cast<double>(rows.low[r]), high = static_cast<double>(rows.high[r]);
    const double even_error = (high - low) * (high - low) * per_range * count;
    // Squares around the row's first weight, without the extreme and around their mean.
    const double pivot = static_cast<double>(tile.row(r)[0]);
    const double sum = static_cast<double>(rows.sum[r]), square = static_cast<double>(rows.square[r]);
    const bool is_high = (high - pivot) - sum / count > sum / count - (low - pivot);
    const double extreme = (is_high ? high : low) - pivot;
    const double rest_sum = sum - extreme;
    const double rest = square - extreme * extreme - rest_sum * rest_sum / (count - 1.0);
    // Float sums tell the rest from the extreme unless that one is enormous.
    if (rest < std::max(even_error, 1e-3 * square)) {
      before += row_error(tile, r, nullptr);
      after += row_error(tile, r, inv_col);
      continue;
    }
    const double scaled_range = static_cast<double>(rows.scaled_high[r]) - static_cast<double>(rows.scaled_low[r]);
    before += even_error;
    after += scaled_range * scaled_range * per_range * factor;
  }
  return after >= (1.0 - kLeastGain) * before;
}

}  // namespace sinq::inline SINQ_ABI::detail
