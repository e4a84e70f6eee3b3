#pragma once

#include <sinq/packing/lane_trellis.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

#include <algorithm>
#include <concepts>

namespace sinq::inline SINQ_ABI {

/// Weights of up to 128 rows over their column scales, in the order of a trellis: the steps of 64 lanes. Step s of lane
/// l holds row 16 * (s % 8) + l / 4 and column 4 * (s / 8) + l % 4.
struct PanelView {
  static constexpr Index kLanes = TrellisGeometry::kLineBytes;
  static constexpr Index kRows = TrellisGeometry::kPanelRows;

  const float* weights = nullptr;     ///< [steps][64], zeros behind the last row and column
  const float* importance = nullptr;  ///< [steps][64] of an error of each weight, greatest in [1, 2); null: all alike
  Index steps = 0;                    ///< whole blocks of 16 columns
  Index group_steps = 0;              ///< of a group of columns; the last one may have fewer
  Index cols = 0;                     ///< those behind are padding

  [[nodiscard]] Index groups() const noexcept { return ceil_div(steps, group_steps); }
  [[nodiscard]] static constexpr Index row_of(Index step, Index lane) noexcept {
    return step % TrellisGeometry::kStepsPerQuad * TrellisGeometry::kLaneRows + lane / TrellisGeometry::kLaneCols;
  }
  [[nodiscard]] static constexpr Index col_of(Index step, Index lane) noexcept {
    return step / TrellisGeometry::kStepsPerQuad * TrellisGeometry::kLaneCols + lane % TrellisGeometry::kLaneCols;
  }
  /// Columns of a group that are not padding.
  [[nodiscard]] Index cols_of(Index group) const noexcept {
    const Index width = group_steps / TrellisGeometry::kStepsPerQuad * TrellisGeometry::kLaneCols;
    return std::min(width, cols - group * width);
  }
};

/// A quantizer that codes whole panels of rows, from the first column to the last. `encoder()` makes what does one
/// matrix: it learns from some pieces of panels, then, for each panel, guesses group scales [groups][128], encodes
/// against the stored ones, and fits them to the codes, as often as it wants.
template <class Q>
concept PanelQuantizer = std::copyable<Q> && requires(const Q& q) {
  {q.validate()};
  { q.format() } -> std::same_as<CodeFormat>;
  {q.encoder()};
};

}  // namespace sinq::inline SINQ_ABI
