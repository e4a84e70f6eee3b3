#pragma once

#include <sinq/detail/kurtosis.hpp>
#include <sinq/detail/matrix_scale.hpp>
#include <sinq/normalize/normalizer.hpp>

#include <algorithm>
#include <cmath>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// The greatest magnitude of a matrix. Throws Errc::kBadData at the first weight that is not finite.
[[nodiscard]] inline float greatest_weight(const MatrixView& w) {
  float greatest = 0.0F;
  for_each_rows(w, InputRounding::kNone, [&](Index first, Index rows, const float* x) {
    for (Index i = 0; i < rows * w.cols; ++i) {
      if (!std::isfinite(x[i])) {
        SINQ_THROW(Errc::kBadData, text("balance: weight [", first + i / w.cols, ", ", i % w.cols, "] is ", x[i],
                                        "; every weight must be finite in float32"));
      }
      greatest = std::max(greatest, std::fabs(x[i]));
    }
  });
  return greatest;
}

}  // namespace detail

/// The dual scale of a whole matrix: w[r,c] = normalized[r,c] * row[r] * col[c].
struct DualScale {
  std::vector<float> row;  ///< [rows]
  std::vector<float> col;  ///< [cols]
  BalanceReport report;
};

/// Runs a normalizer on a whole matrix [rows, cols] as one tile, outside the pipeline: for analysis, and for callers
/// with quantizers of their own. Copies the matrix. Throws Errc::kBadConfig, kBadShape, kBadData.
template <Normalizer N>
[[nodiscard]] DualScale balance(const MatrixView& w, const N& normalizer, Thresholds thresholds = Thresholds::kRelative,
                                Isa limit = Isa::kBest) {
  normalizer.validate();
  detail::require_readable("balance", w);
  // The same arithmetic as in the pipeline: weights near 1, thresholds in units of the rms or of the weights.
  float matrix_scale = detail::estimate_matrix_scale(w);
  Scratch memory, scratch;
  const Index stride = round_up(w.cols, kTileStride);
  Scratch moments;
  detail::LoadedTile loaded({.data = memory.floats(w.rows * stride), .rows = w.rows, .cols = w.cols, .stride = stride},
                            moments);
  double mean_square = loaded.load(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit);
  if (!std::isfinite(mean_square)) {
    // All finite, but one so far beyond the sampled rows that it overflowed over matrix_scale: bring it to 2^60.
    matrix_scale = std::ldexp(1.0F, std::ilogb(detail::greatest_weight(w)) - 60);
    mean_square = loaded.load(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit);
  }
  const TileView tile =
      loaded.view(thresholds == Thresholds::kAbsolute ? 1.0F / matrix_scale : detail::power_of_two_near(mean_square));
  DualScale out{
      std::vector<float>(static_cast<std::size_t>(w.rows)), std::vector<float>(static_cast<std::size_t>(w.cols)), {}};
  out.report = normalizer.balance(tile, {out.row.data(), out.col.data()}, scratch, limit);
  return out;
}

}  // namespace sinq::inline SINQ_ABI
