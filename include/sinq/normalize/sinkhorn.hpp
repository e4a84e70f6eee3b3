#pragma once

#include <sinq/finite.hpp>
#include <sinq/normalize/dual_scale_gain.hpp>
#include <sinq/normalize/normalizer.hpp>
#include <sinq/normalize/tile_deviations.hpp>

#include <cmath>
#include <limits>

namespace sinq::inline SINQ_ABI {

/// What Sinkhorn does about tiles on which standard deviations mislead: nearly constant rows or columns, large offsets.
enum class DegenerateTiles : std::uint8_t {
  kGuard,        ///< leave such rows and columns out; keep identity if the dual scale would widen the grids
  kAsReference,  ///< balance them like any other
};

/// Sinkhorn-Knopp on standard deviations (arXiv 2509.22944, Algorithm 1, with the reference's clamps): Jacobi updates
/// pull the deviations of all rows and columns of a tile towards the smallest of them, and the scales that gave the
/// least imbalance are kept. Iteration ends where the imbalance first rises; running on would change nothing, because
/// the reference's gate then closes for good. Typical weights take 6 of the 16 passes.
///
/// Thresholds on deviations are multiples of the tile's unit (see `Thresholds`).
struct Sinkhorn {
  static constexpr ColScaleUse kColScale = ColScaleUse::kUsed;

  int iterations = 16;    ///< passes at most; the reference's `order`
  float min_std = 1e-3F;  ///< deviations are clamped to [min_std, max_std] before they are compared
  float max_std = 1e3F;
  float min_update = 0.7F;  ///< one update changes a scale by a factor within [min_update, max_update]
  float max_update = 2.0F;
  float min_log_scale = -0.3F;  ///< natural logarithm of a scale is clipped to [min_log_scale, max_log_scale]
  float max_log_scale = 10.0F;
  DegenerateTiles degenerate = DegenerateTiles::kGuard;

  friend bool operator==(const Sinkhorn&, const Sinkhorn&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (iterations < 0 || iterations > 10000) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Sinkhorn: iterations ", iterations, " is not in 0..10000"));
    }
    require_range("min_std", min_std, "max_std", max_std, 0.0F);
    require_range("min_update", min_update, "max_update", max_update, 0.0F);
    require_range("min_log_scale", min_log_scale, "max_log_scale", max_log_scale,
                  -std::numeric_limits<float>::infinity());
  }

  [[nodiscard]] BalanceReport balance(const TileView& tile, DualScaleSpan scales, Scratch& scratch, Isa limit) const;

 private:
  static void require_range(const char* low_name, float low, const char* high_name, float high, float above) {
    if (is_nan(low) || low <= above || !is_finite(high) || low > high) {
      SINQ_THROW(Errc::kBadConfig,
                 detail::text("Sinkhorn: ", low_name, " ", low, " and ", high_name, " ", high,
                              " are not an ascending pair of finite numbers", above == 0.0F ? " above 0" : ""));
    }
  }
};

inline BalanceReport Sinkhorn::balance(const TileView& tile, DualScaleSpan scales, Scratch& scratch, Isa limit) const {
  // Nearly constant: below a thousandth of the tile's median deviation.
  constexpr float kNearlyConstant = 1e-3F;
  // Deviations this far apart come from single weights; in the strips of lm30m they are 2.8 apart, 7 at most.
  constexpr float kLopsided = 24.0F;
  // The reference's guard against division by zero, and its offset of the target.
  constexpr float kLeastDenominator = 1e-12F;
  constexpr float kTargetOffset = 1e-6F;

  BalanceReport report{.best_iteration = -1};
  std::fill(scales.row, scales.row + tile.rows, 1.0F);
  std::fill(scales.col, scales.col + tile.cols, 1.0F);
  if (tile.rows < 2 || tile.cols < 2 || iterations == 0) return report;

  detail::TileDeviations now(tile, scratch, limit);
  detail::UpdateLimits limits{.target = 0.0F,
                              .min_std = min_std * tile.unit,
                              .max_std = max_std * tile.unit,
                              .min_update = min_update,
                              .max_update = max_update,
                              .min_inverse = std::exp(-max_log_scale),
                              .max_inverse = std::exp(-min_log_scale)};
  float best = std::numeric_limits<float>::infinity();
  for (int k = 0; k < iterations; ++k) {
    now.measure();
    ++report.passes;
    if (k == 0) {
      if (degenerate == DegenerateTiles::kGuard) report.left_out = now.leave_out_below(kNearlyConstant);
      if (degenerate == DegenerateTiles::kGuard && !(now.least() > 0.0F)) return report;
      limits.target = std::clamp(now.least(), limits.min_std, limits.max_std) + kTargetOffset * tile.unit;
    }
    const float imbalance = now.most() / std::max(now.least(), kLeastDenominator * tile.unit);
    if (k == 0) report.imbalance_before = best = imbalance;
    if (!(imbalance <= best)) break;
    best = imbalance;
    report.best_iteration = k;
    std::copy(now.inv_row(), now.inv_row() + tile.rows, scales.row);
    std::copy(now.inv_col(), now.inv_col() + tile.cols, scales.col);
    if (k + 1 < iterations) now.update(limits);
  }
  report.imbalance_after = best;
  report.outcome = TileOutcome::kBalanced;
  const bool doubtful = report.left_out != 0 || report.imbalance_before > kLopsided || now.offset_dominated() ||
                        detail::has_dominant_column(scales.col, tile.cols);
  if (degenerate == DegenerateTiles::kGuard && doubtful && detail::gains_nothing(tile, scales.col, scratch, limit)) {
    std::fill(scales.row, scales.row + tile.rows, 1.0F);
    std::fill(scales.col, scales.col + tile.cols, 1.0F);
    report.outcome = TileOutcome::kRefused;
    report.imbalance_after = report.imbalance_before;
    report.best_iteration = 0;
    return report;
  }
  for (Index r = 0; r < tile.rows; ++r) scales.row[r] = 1.0F / scales.row[r];
  for (Index c = 0; c < tile.cols; ++c) scales.col[c] = 1.0F / scales.col[c];
  return report;
}

}  // namespace sinq::inline SINQ_ABI
