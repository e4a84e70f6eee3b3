#pragma once

#include <sinq/config.hpp>
#include <sinq/detail/finite_weights.hpp>
#include <sinq/detail/matrix_scale.hpp>
#include <sinq/detail/normalizer_ref.hpp>
#include <sinq/detail/oversized_scales.hpp>
#include <sinq/packing/aux_encoder.hpp>
#include <sinq/quantize_report.hpp>
#include <sinq/quantized_matrix.hpp>

#include <cmath>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::detail {

/// What a tile turned out to be.
struct TileFindings {
  BalanceReport balance = {};
  bool has_outlier = false;
  Index clipped_weights = 0;
};

/// Memory and findings of one thread of a pipeline.
struct BalanceWorker {
  Scratch moments, normalizer, stored;
  bool has_bad_weight = false;  ///< met one that is not finite
  OversizedScales oversized;
};

/// What all pipelines begin with: the tiles of a matrix are loaded, balanced, and their column scales stored. Knows the
/// matrix_scale, and when everything is to be done once more under another one.
class TileBalancer {
 public:
  TileBalancer(const MatrixView& w, const Method& method, const NormalizerRef& normalizer, const Layout& layout,
               std::span<std::byte> out, Isa isa)
      : w_(w),
        normalizer_(normalizer),
        layout_(layout),
        thresholds_(method.thresholds),
        codes_against_(method.codes_against),
        input_rounding_(method.input_rounding),
        steps_(method.format.steps()),
        isa_(isa),
        tile_cols_(std::min(detail::tile_cols(method, layout.group_size), round_up(layout.cols, 8))),
        col_scales_(out.data() + region_offset(layout, Region::kColScale)),
        group_scales_(out.data() + region_offset(layout, Region::kGroupScale)),
        findings_(static_cast<std::size_t>(layout.row_blocks() * strips())) {
    layout_.matrix_scale = estimate_matrix_scale(w);
  }

  /// With the matrix_scale of this round.
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] Index tile_cols() const noexcept { return tile_cols_; }
  [[nodiscard]] Index strips() const noexcept { return ceil_div(layout_.cols, tile_cols_); }

  /// Fills a tile with the rows under column scale vector `block` and the columns of `strip`, and finds its scales:
  /// those of columns as codes shall be chosen against them. What is returned has moments and unit; its data is null if
  /// a weight is not finite.
  TileView balance(LoadedTile& loaded, Index block, Index strip, DualScaleSpan scales, BalanceWorker& worker) {
    const Index row = block * layout_.row_block, col = strip * tile_cols_;
    const float factor = 1.0F / layout_.matrix_scale;
    if (!loaded.load(w_, row, col, factor, input_rounding_, isa_)) {
      worker.has_bad_weight = true;
      return {};
    }
    TileFindings findings{.clipped_weights = loaded.clip(w_, row, col, factor, input_rounding_, isa_)};
    const double mean_square = loaded.mean_square(), typical_square = loaded.typical_square(mean_square);
    findings.has_outlier = typical_square < mean_square;
    TileView out = loaded.view(thresholds_ == Thresholds::kAbsolute ? factor : power_of_two_near(typical_square));
    out.steps = steps_;
    std::fill(scales.col, scales.col + out.stride, 1.0F);
    findings.balance = normalizer_.balance(out, scales, worker.normalizer, isa_);
    findings_[static_cast<std::size_t>(block * strips() + strip)] = findings;
    if (layout_.col_scale == ColScaleKind::kStored) {
      const AuxFormat format = layout_.col_scale_format();
      const Index first = block * layout_.cols + col;
      float* stored = codes_against_ == CodesAgainst::kStored ? scales.col : worker.stored.floats(out.stride);
      encode_aux(format, AuxCurve::kLinear, {col_scales_ + aux_bytes(format, first), nullptr}, {0, out.cols},
                 scales.col, stored, isa_);
    }
    return out;
  }

  /// Throws Errc::kBadData if a worker met a weight that is not finite.
  template <class Workers>
  void require_finite(const Workers& workers) const {
    for (const BalanceWorker& worker : workers) {
      if (worker.has_bad_weight) require_finite_weights("quantize", w_, input_rounding_);
    }
  }

  /// To be asked when everything is done: true, with a new matrix_scale, if group scales did not fit f16 under the old.
  template <class Workers>
  [[nodiscard]] bool needs_another_round(Workers& workers) {
    require_finite(workers);
    OversizedScales oversized;
    for (BalanceWorker& worker : workers) oversized.merge(std::exchange(worker.oversized, {}));
    clipped_groups_ = oversized.count();
    if (clipped_groups_ == 0 || scale_is_final_) return false;
    scale_is_final_ = true;
    const Index scales = layout_.groups() * layout_.rows;
    const int octaves =
        oversized.best_shift({reinterpret_cast<const std::uint16_t*>(group_scales_), static_cast<std::size_t>(scales)});
    layout_.matrix_scale = std::ldexp(layout_.matrix_scale, octaves);
    return octaves != 0;
  }

  [[nodiscard]] QuantizeReport report() const {
    QuantizeReport out{.isa = isa_, .tiles = static_cast<Index>(findings_.size()), .clipped_groups = clipped_groups_};
    double before = 0.0, after = 0.0;
    for (const auto& [b, has_outlier, clipped_weights] : findings_) {
      out.outlier_tiles += has_outlier ? 1 : 0;
      out.clipped_weights += clipped_weights;
      out.tiles_untouched += b.outcome == TileOutcome::kUntouched ? 1 : 0;
      out.tiles_refused += b.outcome == TileOutcome::kRefused ? 1 : 0;
      out.left_out += b.left_out;
      out.passes += b.passes;
      before += static_cast<double>(b.imbalance_before);
      after += static_cast<double>(b.imbalance_after);
    }
    out.imbalance_before = before / static_cast<double>(out.tiles);
    out.imbalance_after = after / static_cast<double>(out.tiles);
    return out;
  }

 private:
  MatrixView w_;
  NormalizerRef normalizer_;
  Layout layout_;
  Thresholds thresholds_;
  CodesAgainst codes_against_;
  InputRounding input_rounding_;
  float steps_;
  Isa isa_;
  Index tile_cols_;
  std::byte* col_scales_;
  std::byte* group_scales_;
  std::vector<TileFindings> findings_;
  Index clipped_groups_ = 0;
  bool scale_is_final_ = false;
};

}  // namespace sinq::inline SINQ_ABI::detail
