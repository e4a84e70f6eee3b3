#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/normalizer_ref.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/normalize/normalizer.hpp>

#include <vector>

namespace sinq::inline SINQ_ABI {

/// The dual scale of a whole matrix: w[r,c] = normalized[r,c] * row[r] * col[c].
struct DualScale {
  std::vector<float> row;  ///< [rows]
  std::vector<float> col;  ///< [cols]
  BalanceReport report;
};

namespace detail {

[[nodiscard]] SINQ_DECL DualScale balance(const MatrixView& w, const NormalizerRef& normalizer, Thresholds thresholds,
                                          Isa limit);

}  // namespace detail

/// Runs a normalizer on a whole matrix [rows, cols] as one tile, outside the pipeline: for analysis, and for callers
/// with quantizers of their own. Copies the matrix. Throws Errc::kBadConfig, kBadShape, kBadData.
template <Normalizer N>
[[nodiscard]] DualScale balance(const MatrixView& w, const N& normalizer, Thresholds thresholds = Thresholds::kRelative,
                                Isa limit = Isa::kBest) {
  normalizer.validate();
  return detail::balance(w, detail::NormalizerRef(normalizer), thresholds, limit);
}

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(MEASURE)
#include <sinq/detail/finite_weights.hpp>
#include <sinq/detail/matrix_scale.hpp>

namespace sinq::inline SINQ_ABI::detail {

SINQ_DECL DualScale balance(const MatrixView& w, const NormalizerRef& normalizer, Thresholds thresholds, Isa limit) {
  require_readable("balance", w);
  // The same arithmetic as in the pipeline: weights near 1, thresholds in units of the rms or of the weights.
  const float matrix_scale = estimate_matrix_scale(w);
  Scratch memory, scratch;
  const Index stride = round_up(w.cols, kTileStride);
  Scratch moments;
  LoadedTile loaded({.data = memory.floats(w.rows * stride), .rows = w.rows, .cols = w.cols, .stride = stride},
                    moments);
  if (!loaded.load(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit)) {
    require_finite_weights("balance", w, InputRounding::kNone);
  }
  loaded.clip(w, 0, 0, 1.0F / matrix_scale, InputRounding::kNone, limit);
  const TileView tile =
      loaded.view(thresholds == Thresholds::kAbsolute ? 1.0F / matrix_scale
                                                      : power_of_two_near(loaded.typical_square(loaded.mean_square())));
  DualScale out{
      std::vector<float>(static_cast<std::size_t>(w.rows)), std::vector<float>(static_cast<std::size_t>(w.cols)), {}};
  out.report = normalizer.balance(tile, {out.row.data(), out.col.data()}, scratch, limit);
  return out;
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
