#pragma once

#include <sinq/config.hpp>
#include <sinq/detail/tile_balancer.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/packing/aux_encoder.hpp>
#include <sinq/packing/trellis_codes.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/quantizers/panel_quantizer.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Memory of one thread. Beyond that of a tile (all rows under one column scale vector, 64 columns for instance), of
/// each weight of a panel: 4 bytes for itself, 2 for its window, 4 for its importance if that is given, and what the
/// encoder wants.
template <class Encoder>
struct PanelWorker : BalanceWorker {
  Scratch tile, scales;
  Vector<float> weights, importance, group_scales;
  Vector<std::uint16_t> windows;
  typename Encoder::Memory encoder;
};

/// One matrix on its way to the codes of a lane trellis. Tiles and panels lie across each other, so there are two
/// phases: first every tile is balanced, of which the column scales remain; then panel by panel, all columns of 128
/// rows, weights over the *stored* column scales are coded, their group scales fitted and stored in turns with the
/// codes.
template <class Encoder>
class PanelPipeline {
 public:
  using Worker = PanelWorker<Encoder>;

  PanelPipeline(const MatrixView& w, const Method& method, Encoder& encoder, const NormalizerRef& normalizer,
                const Layout& layout, std::span<std::byte> out, std::span<const float> col_importance, Isa limit)
      : w_(w),
        balancer_(w, method, normalizer, layout, out, resolve(limit)),
        encoder_(encoder),
        col_importance_(col_importance),
        layout_(layout),
        codes_(TrellisCodes(layout).geometry()),
        group_size_(std::min(layout.group_size, codes_.blocks() * TrellisGeometry::kBlockCols)),
        input_rounding_(method.input_rounding),
        isa_(resolve(limit)) {
    for (int i = 0; i < kRegionCount; ++i) {
      regions_[i] = out.data() + region_offset(layout, static_cast<Region>(i));
    }
  }

  /// With its matrix_scale.
  [[nodiscard]] const Layout& layout() const noexcept { return balancer_.layout(); }
  [[nodiscard]] Index tile_count() const noexcept { return layout_.row_blocks() * balancer_.strips(); }
  [[nodiscard]] Index panel_count() const noexcept { return codes_.panels(); }

  /// First phase: finds and stores the column scales of one tile.
  void balance(Index task, Worker& worker) {
    const Index block = task % layout_.row_blocks(), strip = task / layout_.row_blocks();
    const Index rows = std::min(layout_.row_block, layout_.rows - block * layout_.row_block);
    const Index cols = std::min(balancer_.tile_cols(), layout_.cols - strip * balancer_.tile_cols());
    const Index stride = round_up(cols, kTileStride);
    LoadedTile loaded({worker.tile.floats(rows * stride), rows, cols, stride}, worker.moments);
    float* row = worker.scales.floats(round_up(rows, kTileStride) + stride);
    balancer_.balance(loaded, block, strip, {row, row + round_up(rows, kTileStride)}, worker);
  }

  /// Throws Errc::kBadData if a weight is not finite.
  void require_finite(const std::vector<Worker>& workers) const { balancer_.require_finite(workers); }

  /// Between the phases: lets the encoder learn from pieces of panels, and stores its levels.
  void learn(Worker& worker) {
    // 48 numbers are learned: of so many weights each is seen thousands of times. A wide group shows part of itself.
    constexpr Index kSampledWeights = Index{1} << 16, kMostCols = 512;
    const Index width = std::min(group_size_, kMostCols);
    const Index lanes = width / TrellisGeometry::kBlockCols * TrellisGeometry::kBlockSteps * PanelView::kLanes;
    const Index pieces_in_all = panel_count() * layout_.groups();
    const Index pieces = std::min(ceil_div(kSampledWeights, lanes), pieces_in_all);
    Vector<float> weights(static_cast<std::size_t>(pieces * lanes)), importance;
    if (!col_importance_.empty()) importance.resize(weights.size());
    Vector<PanelView> sample;
    for (Index i = 0; i < pieces; ++i) {
      const Index piece = i * pieces_in_all / pieces, panel = piece / layout_.groups();
      // Turned by the panel, or every panel would show the same columns.
      const Index first = (piece + panel) % layout_.groups() * group_size_;
      const ColRange cols{first, std::min(first + width, layout_.cols)};
      PanelView view{.weights = weights.data() + i * lanes,
                     .importance = importance.empty() ? nullptr : importance.data() + i * lanes};
      load(panel, cols, weights.data() + i * lanes, importance.empty() ? nullptr : importance.data() + i * lanes,
           worker);
      view.steps = view.group_steps = steps(cols.size());
      view.cols = cols.size();
      sample.push_back(view);
    }
    encoder_.learn(sample, worker.encoder, isa_);
    const auto levels = std::as_bytes(encoder_.format().byte_levels);
    std::memcpy(region(Region::kLevels), levels.data(), levels.size());
  }

  /// Second phase: one panel, from weights to codes.
  void encode(Index panel, Worker& worker) {
    const Index count = codes_.steps() * PanelView::kLanes;
    worker.weights.resize(static_cast<std::size_t>(count));
    worker.windows.resize(static_cast<std::size_t>(count));
    worker.group_scales.resize(static_cast<std::size_t>(layout_.groups() * PanelView::kRows));
    if (!col_importance_.empty()) worker.importance.resize(static_cast<std::size_t>(count));
    float* importance = col_importance_.empty() ? nullptr : worker.importance.data();
    load(panel, {0, layout_.cols}, worker.weights.data(), importance, worker);
    const PanelView view{.weights = worker.weights.data(),
                         .importance = importance,
                         .steps = codes_.steps(),
                         .group_steps = steps(group_size_),
                         .cols = layout_.cols};
    float* scales = worker.group_scales.data();
    encoder_.guess_scales(view, scales);
    for (int round = 0; round < encoder_.rounds(); ++round) {
      store_scales(panel, scales, nullptr);
      encoder_.encode(view, scales, round, worker.windows.data(), worker.encoder);
      encoder_.fit_scales(view, worker.windows.data(), scales);
    }
    store_scales(panel, scales, &worker.oversized);
    auto* out = reinterpret_cast<std::uint8_t*>(region(Region::kCodes)) + panel * codes_.panel_bytes();
    constexpr Index kBlock = TrellisGeometry::kBlockSteps * PanelView::kLanes;
    for (Index b = 0; b < codes_.blocks(); ++b) {
      codes_.write_block(worker.windows.data() + b * kBlock, out + b * codes_.block_bytes());
    }
  }

  /// To be asked when all is done.
  [[nodiscard]] bool needs_another_round(std::vector<Worker>& workers) {
    return balancer_.needs_another_round(workers);
  }
  [[nodiscard]] QuantizeReport report() const { return balancer_.report(); }

 private:
  [[nodiscard]] static constexpr Index steps(Index cols) noexcept {
    return ceil_div(cols, TrellisGeometry::kBlockCols) * TrellisGeometry::kBlockSteps;
  }
  [[nodiscard]] std::byte* region(Region r) const noexcept { return regions_[static_cast<int>(r)]; }
  [[nodiscard]] RowRange rows_of(Index panel) const noexcept {
    return {panel * PanelView::kRows, std::min((panel + 1) * PanelView::kRows, layout_.rows)};
  }

  /// Weights of some columns of a panel, from a multiple of 16 on, over their stored column scales, in the order of
  /// lanes and steps; and what an error of each costs, if that is known.
  void load(Index panel, ColRange cols, float* weights, float* importance, Worker& worker) const {
    const RowRange rows = rows_of(panel);
    const Index count = steps(cols.size()) * PanelView::kLanes;
    std::fill(weights, weights + count, 0.0F);
    if (importance != nullptr) std::fill(importance, importance + count, 0.0F);
    constexpr Index kChunk = 64;
    const float factor = 1.0F / balancer_.layout().matrix_scale;
    float scale[kChunk];
    const double unit = importance == nullptr ? 1.0 : importance_unit(rows, cols);
    for (Index col = cols.begin; col < cols.end; col += kChunk) {
      const Index width = std::min(kChunk, cols.end - col), stride = round_up(width, kTileStride);
      const TileView chunk{worker.tile.floats(rows.size() * stride), rows.size(), width, stride};
      LoadedTile loaded(chunk, worker.moments);
      if (!loaded.load(w_, rows.begin, col, factor, input_rounding_, isa_)) return;  // told already
      loaded.clip(w_, rows.begin, col, factor, input_rounding_, isa_);
      Index block = -1;
      for (Index r = rows.begin; r < rows.end; ++r) {
        if (r / layout_.row_block != block) {
          block = r / layout_.row_block;
          col_scales(block, {col, col + width}, scale);
        }
        const float* from = chunk.row(r - rows.begin);
        for (Index c = 0; c < width; ++c) {
          const Index at = col - cols.begin + c;
          const Index to = TrellisGeometry::step_of(r, at) * PanelView::kLanes + TrellisGeometry::lane_of(r, at);
          weights[to] = from[c] / scale[c];
          if (importance == nullptr) continue;
          const auto s = static_cast<double>(scale[c]);
          importance[to] = static_cast<float>(static_cast<double>(col_importance_[static_cast<std::size_t>(col + c)]) *
                                              s * s / unit);
        }
      }
    }
  }

  /// A power of two near the greatest importance over column scales: neither units nor outliers leave float's range.
  [[nodiscard]] double importance_unit(RowRange rows, ColRange cols) const {
    double most = 0.0;
    for (Index block = rows.begin / layout_.row_block; block * layout_.row_block < rows.end; ++block) {
      for (Index c = cols.begin; c < cols.end; ++c) {
        float scale = 1.0F;
        col_scales(block, {c, c + 1}, &scale);
        most = std::max(most, static_cast<double>(col_importance_[static_cast<std::size_t>(c)]) *
                                  static_cast<double>(scale) * static_cast<double>(scale));
      }
    }
    return std::ldexp(1.0, std::ilogb(most));
  }

  void col_scales(Index block, ColRange cols, float* out) const noexcept {
    if (layout_.col_scale == ColScaleKind::kNone) {
      std::fill(out, out + cols.size(), 1.0F);
      return;
    }
    const Index first = block * layout_.cols + cols.begin;
    decode_aux(layout_.col_scale_format(), AuxCurve::kLinear, {region(Region::kColScale), nullptr},
               {first, first + cols.size()}, out);
  }

  /// Stores the group scales of a panel, which become what a reader will see. With `oversized`, counts those that f16
  /// cannot hold; they are brought to its end.
  void store_scales(Index panel, float* scales, OversizedScales* oversized) const {
    const RowRange rows = rows_of(panel);
    for (Index g = 0; g < layout_.groups(); ++g, scales += PanelView::kRows) {
      for (Index first = rows.begin; first < rows.end; first += kAuxBlockRows) {
        const RowRange range{first, std::min(first + kAuxBlockRows, rows.end)};
        float* own = scales + (first - rows.begin);
        for (Index r = 0; layout_.aux == AuxFormat::kF16 && r < range.size(); ++r) {
          if (!(own[r] > OversizedScales::kMost)) continue;
          if (oversized != nullptr) oversized->add(own[r]);
          own[r] = OversizedScales::kMost;
        }
        encode_aux(layout_.aux, AuxCurve::kLogarithmic,
                   {region(Region::kGroupScale) + g * aux_bytes(layout_.aux, layout_.rows),
                    region(Region::kGroupScaleBlocks) + g * aux_blocks(layout_.rows) * Index{sizeof(AuxBlock)}},
                   range, own, own, isa_);
      }
      std::fill(scales + rows.size(), scales + PanelView::kRows, 0.0F);
    }
  }

  MatrixView w_;
  TileBalancer balancer_;
  Encoder& encoder_;
  std::span<const float> col_importance_;
  Layout layout_;
  TrellisGeometry codes_;
  Index group_size_;  ///< not beyond the padded columns
  InputRounding input_rounding_;
  Isa isa_;
  std::byte* regions_[kRegionCount];
};

}  // namespace sinq::inline SINQ_ABI::detail
