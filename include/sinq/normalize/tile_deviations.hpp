#pragma once

#include <sinq/detail/tile_moments.hpp>
#include <sinq/normalize/normalizer.hpp>

#include <cmath>
#include <limits>
#include <utility>

namespace sinq::inline SINQ_ABI::detail {

/// Above this ratio of mean^2 to variance, E[x^2] - E[x]^2 in float32 loses more than four bits of the variance: such a
/// tile is measured again in two passes with double accumulation.
inline constexpr float kMaxOffsetRatio = 16.0F;

struct DeviationSummary {
  float least, most;
  bool offset_dominated;
};

struct UpdateLimits {
  float target, min_std, max_std, min_update, max_update, min_inverse, max_inverse;
};

/// Per row: extremes and moments about its first weight, and extremes under the column factors.
struct RowRanges {
  float *low, *high, *scaled_low, *scaled_high, *sum, *square;  ///< [rows, rounded up to kTileStride]
};

template <class Tag>
struct SinkhornSteps;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/normalize/sinkhorn_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/nth_smallest.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// The standard deviations (unbiased) of all rows and columns of a tile under the scales of the moment, and those
/// scales, kept as inverses because every pass multiplies.
class TileDeviations {
 public:
  TileDeviations(const TileView& tile, Scratch& scratch, Isa limit)
      : tile_(tile), isa_(resolve(limit)), padded_rows_(round_up(tile.rows, kTileStride)), raw_moments_(tile.moments) {
    // Row arrays, then column arrays.
    inv_row_ = scratch.floats(3 * padded_rows_ + 2 * tile.stride);
    moments_.row_sum = inv_row_ + padded_rows_;
    moments_.row_square = moments_.row_sum + padded_rows_;
    inv_col_ = moments_.row_square + padded_rows_;
    col_std_ = inv_col_ + tile.stride;
    moments_.col_sum = scratch.doubles(2 * tile.stride);
    moments_.col_square = moments_.col_sum + tile.stride;
    std::fill(inv_row_, inv_row_ + padded_rows_, 1.0F);
    std::fill(inv_col_, inv_col_ + tile.stride, 1.0F);
    // The padding's factors are multiplied with zeros: a NaN there would not stay there.
    std::fill(col_std_ + tile.cols, col_std_ + tile.stride, 0.0F);
  }

  [[nodiscard]] const float* inv_row() const noexcept { return inv_row_; }
  [[nodiscard]] const float* inv_col() const noexcept { return inv_col_; }
  [[nodiscard]] float least() const noexcept { return summary_.least; }
  [[nodiscard]] float most() const noexcept { return summary_.most; }
  /// Whether any row or column was too far from zero for the one-pass variance.
  [[nodiscard]] bool offset_dominated() const noexcept { return two_pass_; }

  void measure() {
    if (!two_pass_) measure_in_one_pass();
    if (two_pass_) measure_in_two_passes();
    if (!left_out_.empty()) summarize_without_left_out();
  }

  /// Leaves rows and columns out whose deviation is below `fraction` of the median. Returns how many.
  [[gnu::cold]] Index leave_out_below(float fraction) {
    // The median is not above the maximum: nothing to look for in nearly every tile.
    if (summary_.least >= fraction * summary_.most) return 0;
    Vector<float> all(static_cast<std::size_t>(tile_.rows + tile_.cols));
    std::copy(col_std_, col_std_ + tile_.cols, std::copy(row_std(), row_std() + tile_.rows, all.data()));
    const float limit = fraction * nth_smallest(all.data(), all.size(), all.size() / 2);
    for (Index r = 0; r < tile_.rows; ++r) {
      if (!(row_std()[r] >= limit && row_std()[r] > 0.0F)) left_out_.push_back(row_std() + r);
    }
    for (Index c = 0; c < tile_.cols; ++c) {
      if (!(col_std_[c] >= limit && col_std_[c] > 0.0F)) left_out_.push_back(col_std_ + c);
    }
    if (!left_out_.empty()) summarize_without_left_out();
    return static_cast<Index>(left_out_.size());
  }

  /// One Jacobi step: rows and columns from the same deviations. What is left out keeps its scale.
  void update(const UpdateLimits& limits) noexcept {
    for (float* std : left_out_) *std = limits.target;
    dispatch(isa_, [&](auto tag) {
      using Steps = SinkhornSteps<decltype(tag)>;
      Steps::update(inv_row_, row_std(), padded_rows_, limits);
      Steps::update(inv_col_, col_std_, tile_.stride, limits);
    });
  }

 private:
  /// The moments' memory holds the deviations once they are known.
  [[nodiscard]] float* row_std() const noexcept { return moments_.row_square; }

  void measure_in_one_pass() noexcept {
    dispatch(isa_, [&](auto tag) {
      if (const TileMoments* raw = std::exchange(raw_moments_, nullptr)) {
        std::copy(raw->row_sum, raw->row_sum + tile_.rows, moments_.row_sum);
        std::copy(raw->row_square, raw->row_square + tile_.rows, moments_.row_square);
        std::copy(raw->col_sum, raw->col_sum + tile_.cols, moments_.col_sum);
        std::copy(raw->col_square, raw->col_square + tile_.cols, moments_.col_square);
      } else {
        const ScaledTileReader<decltype(tag)> reader{tile_, inv_col_};
        MomentKernel<decltype(tag)>::run(reader, tile_.rows, tile_.cols, inv_row_, moments_);
      }
      summary_ = SinkhornSteps<decltype(tag)>::deviations(moments_.row_sum, moments_.row_square, inv_row_, tile_.rows,
                                                          tile_.cols);
    });
    two_pass_ = summary_.offset_dominated;
    const auto rows = static_cast<double>(tile_.rows);
    for (Index c = 0; c < tile_.cols; ++c) {
      const double mean_part = moments_.col_sum[c] * moments_.col_sum[c] / rows;
      const double spread = std::max(moments_.col_square[c] - mean_part, 0.0);
      two_pass_ = two_pass_ || mean_part > static_cast<double>(kMaxOffsetRatio) * spread;
      set_col_std(c, std::sqrt(spread / (rows - 1.0)));
    }
  }

  [[gnu::cold]] void measure_in_two_passes() {
    summary_ = {std::numeric_limits<float>::infinity(), 0.0F, true};
    Vector<double> mean(static_cast<std::size_t>(tile_.cols), 0.0);
    Vector<double> spread(static_cast<std::size_t>(tile_.cols), 0.0);
    const auto at = [&](Index r, Index c) { return static_cast<double>(tile_.row(r)[c] * inv_col_[c] * inv_row_[r]); };
    for (Index r = 0; r < tile_.rows; ++r) {
      double row_mean = 0.0, row_spread = 0.0;
      for (Index c = 0; c < tile_.cols; ++c) {
        row_mean += at(r, c);
        mean[static_cast<std::size_t>(c)] += at(r, c);
      }
      row_mean /= static_cast<double>(tile_.cols);
      for (Index c = 0; c < tile_.cols; ++c) row_spread += (at(r, c) - row_mean) * (at(r, c) - row_mean);
      row_std()[r] = static_cast<float>(std::sqrt(row_spread / static_cast<double>(tile_.cols - 1)));
      widen(row_std()[r]);
    }
    for (double& m : mean) m /= static_cast<double>(tile_.rows);
    for (Index r = 0; r < tile_.rows; ++r) {
      for (Index c = 0; c < tile_.cols; ++c) {
        const double d = at(r, c) - mean[static_cast<std::size_t>(c)];
        spread[static_cast<std::size_t>(c)] += d * d;
      }
    }
    for (Index c = 0; c < tile_.cols; ++c) {
      set_col_std(c, std::sqrt(spread[static_cast<std::size_t>(c)] / static_cast<double>(tile_.rows - 1)));
    }
  }

  [[gnu::cold]] void summarize_without_left_out() noexcept {
    summary_.least = std::numeric_limits<float>::infinity();
    summary_.most = 0.0F;
    for (float* std : left_out_) *std = -1.0F;  // marks them for this loop; `update` sets what they need then
    for (Index r = 0; r < tile_.rows; ++r) {
      if (row_std()[r] >= 0.0F) widen(row_std()[r]);
    }
    for (Index c = 0; c < tile_.cols; ++c) {
      if (col_std_[c] >= 0.0F) widen(col_std_[c]);
    }
    if (summary_.most == 0.0F) summary_.least = 0.0F;
  }

  void set_col_std(Index c, double std) noexcept {
    col_std_[c] = static_cast<float>(std);
    widen(col_std_[c]);
  }
  void widen(float std) noexcept {
    summary_.least = std::min(summary_.least, std);
    summary_.most = std::max(summary_.most, std);
  }

  TileView tile_;
  Isa isa_;
  Index padded_rows_;
  TileMoments moments_;
  const TileMoments* raw_moments_;  ///< what the first measurement can have for nothing
  float* inv_row_;
  float* inv_col_;
  float* col_std_;
  DeviationSummary summary_{};
  bool two_pass_ = false;
  Vector<float*> left_out_;
};

}  // namespace sinq::inline SINQ_ABI::detail
