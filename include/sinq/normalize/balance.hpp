#pragma once

#include <sinq/detail/finite_weights.hpp>
#include <sinq/detail/matrix_scale.hpp>
#include <sinq/normalize/normalizer.hpp>

namespace sinq::inline SINQ_ABI {

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
  const float matrix_scale = detail::estimate_matrix_scale(w);
  Scratch memory, scratch;
  const Index stride = round_up(w.cols, kTileStride);
  Scratch moments;
  detail::LoadedTile loaded({.data = memory.floats(w.rows * stride), .rows = w.rows, .cols = w.cols, .stride = stride},
                            moments);
  if (!loaded.load(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit)) {
    detail::require_finite_weights("balance", w, InputRounding::kNone);
  }
  loaded.clip(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit);
  const TileView tile = loaded.view(thresholds == Thresholds::kAbsolute
                                        ? 1.0F / matrix_scale
                                        : detail::power_of_two_near(loaded.typical_square(loaded.mean_square())));
  DualScale out{
      std::vector<float>(static_cast<std::size_t>(w.rows)), std::vector<float>(static_cast<std::size_t>(w.cols)), {}};
  out.report = normalizer.balance(tile, {out.row.data(), out.col.data()}, scratch, limit);
  return out;
}

}  // namespace sinq::inline SINQ_ABI
