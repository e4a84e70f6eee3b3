#pragma once

#include <sinq/normalize/tile_deviations.hpp>

namespace sinq::detail {

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

/// Sum of squared deviations from their mean of all weights of row r but one of value `extreme`.
[[nodiscard]] inline double spread_without(const TileView& tile, Index r, double extreme) noexcept {
  double sum = 0.0, spread = 0.0;
  bool left_out = false;
  const auto each = [&](auto&& f) {
    left_out = false;
    for (Index c = 0; c < tile.cols; ++c) {
      const auto x = static_cast<double>(tile.row(r)[c]);
      const bool is_extreme = !left_out && x == extreme;
      left_out = left_out || is_extreme;
      if (!is_extreme) f(x);
    }
  };
  each([&](double x) { sum += x; });
  const double mean = sum / static_cast<double>(tile.cols - 1);
  each([&](double x) { spread += (x - mean) * (x - mean); });
  return spread;
}

/// Whether the column factors (given as inverses) fail to lower the squared error of a min/max grid of `tile.steps`
/// steps by a twentieth. An element's error is that of its row's grid times its column's factor; row factors cancel.
/// Without column factors, a row whose grid is coarser than its weights loses at most the weights themselves, all but
/// its extreme.
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
    const double scaled_range = static_cast<double>(rows.scaled_high[r]) - static_cast<double>(rows.scaled_low[r]);
    // Float sums about the row's first weight tell the rest from the extreme unless that one is enormous.
    const double pivot = static_cast<double>(tile.row(r)[0]);
    const double sum = static_cast<double>(rows.sum[r]), square = static_cast<double>(rows.square[r]);
    const bool is_high = (high - pivot) - sum / count > sum / count - (low - pivot);
    const double extreme = (is_high ? high : low) - pivot;
    const double rest_sum = sum - extreme;
    double rest = square - extreme * extreme - rest_sum * rest_sum / (count - 1.0);
    if (rest < 1e-3 * square) rest = spread_without(tile, r, is_high ? high : low);
    before += std::min((high - low) * (high - low) * per_range * count, rest);
    after += scaled_range * scaled_range * per_range * factor;
  }
  return after > (1.0 - kLeastGain) * before;
}

}  // namespace sinq::detail
