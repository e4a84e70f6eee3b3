#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/feedback_rows.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/packing/trellis_codes.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/quantizers/trellis.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// The codes of a lane trellis, chosen by block LDLQ (QuIP#, arXiv 2402.04396; QTIP, arXiv 2406.11235): some columns of
/// a panel at a time get the best path to where they should be if every error before them were made up for exactly,
/// columns behind them lending foresight, and hand on what is left. An error's weight is its column's pivot; that the
/// columns of a block depend on each other is left out of account while their path is searched. The stream stays
/// cyclic: the windows at its seam are found first, without feedback.
class TrellisBlocks {
 public:
  static constexpr Index kTaskRows = TrellisGeometry::kPanelRows;  ///< that are worked on together
  static constexpr Index kCommit = 16;                             ///< columns that are decided at a time, at most
  static constexpr Index kForesight = 32;                          ///< columns behind those that have a say

  /// Working memory of a task.
  struct Memory {
    Vector<float> errors, aimed;        ///< [columns of a run][kFeedRows]
    Vector<float> weights, importance;  ///< [steps of a run][64]
    Vector<float> scales;               ///< [quads of a run][128]
    Vector<std::uint16_t> windows;      ///< [steps of the panel][64]
    std::array<std::uint16_t, PanelView::kLanes> seam;
    PanelMemory panel;
  };

  TrellisBlocks(QuantizedMatrix& q, Isa limit)
      : layout_(q.layout()),
        geometry_(TrellisCodes(layout_).geometry()),
        tables_(TrellisCodes::tables(q.region(Region::kLevels).data())),
        out_(reinterpret_cast<std::uint8_t*>(q.region(Region::kCodes).data())),
        search_(tables_, layout_.quarter_bits, limit),
        limit_(limit) {}

  /// Finds the windows at the seam: from the first block of lines and the last, side by side.
  void begin(std::span<FeedbackRows> parts, const FeedbackFactor& factor, Memory& memory) const {
    constexpr Index kCols = TrellisGeometry::kBlockCols;
    memory.windows.resize(static_cast<std::size_t>(geometry_.steps() * PanelView::kLanes));
    const ColRange ends[] = {{0, std::min(kCols, layout_.cols)}, {(geometry_.blocks() - 1) * kCols, layout_.cols}};
    const Index count = std::min(geometry_.blocks(), Index{2});
    reset(steps_of(count * kCols), memory);
    for (Index i = 0; i < count; ++i) {
      for (const FeedbackRows& part : parts) {
        place(part, ends[i], part.columns.data() + ends[i].begin * kFeedRows, i * kCols, memory);
      }
      weigh(factor, ends[i], i * kCols, memory);
    }
    const PanelView run = aim(memory);
    search_.search_seam(run.steps, memory.panel.targets.data(), memory.panel.weights.data(), false, memory.seam.data(),
                        memory.panel.search);
  }

  /// Decides `columns`, which begin on a block of lines. Weights become errors.
  void encode(ColRange columns, const FeedbackFactor& factor, std::span<FeedbackRows> parts, Memory& memory) const {
    for (Index first = columns.begin; first < columns.end; first += kCommit) {
      const ColRange commit{first, std::min(first + kCommit, columns.end)};
      const ColRange seen{first, std::min(commit.end + kForesight, layout_.cols)};
      const auto size = static_cast<std::size_t>(round_up(seen.size(), kFeedCols) * kFeedRows);
      memory.errors.resize(size);
      memory.aimed.resize(size);
      const Index first_step = steps_of(first);
      reset(end_step(seen) - first_step, memory);
      for (const FeedbackRows& part : parts) {
        part.aim(seen, factor.panels, memory.errors.data(), memory.aimed.data(), limit_);
        place(part, seen, memory.aimed.data(), 0, memory);
      }
      weigh(factor, seen, 0, memory);
      const PanelView run = aim(memory);
      std::uint16_t* const windows = memory.windows.data() + first_step * PanelView::kLanes;
      search_.search({.first_step = first_step,
                      .steps = run.steps,
                      .commit = end_step(commit) - first_step,
                      .targets = memory.panel.targets.data(),
                      .weights = memory.panel.weights.data(),
                      .start = first == 0 ? memory.seam.data() : windows - PanelView::kLanes,
                      .end = seen.end == layout_.cols ? memory.seam.data() : nullptr},
                     windows, memory.panel.search);
      for (FeedbackRows& part : parts) take_errors(commit, memory, part);
    }
  }

  /// Scales [kFeedRows] of a group: they grow as its targets have.
  void fit_scales(const ScaleQuery& query, float* scale) const {
    constexpr float kMost = 2.0F;
    for (Index r = 0; r < kFeedRows; ++r) {
      double before = 0.0, after = 0.0;
      for (Index c = 0; c < query.count; ++c) {
        const auto w = static_cast<double>(query.weights[c * kFeedRows + r]);
        const auto t = static_cast<double>(query.targets[c * kFeedRows + r]);
        before += w * w;
        after += t * t;
      }
      if (!(before > 0.0)) continue;
      scale[r] *= std::clamp(static_cast<float>(std::sqrt(after / before)), 1.0F / kMost, kMost);
    }
  }

  /// Writes the panel.
  void store(std::span<FeedbackRows> parts, const FeedbackFactor&, Memory& memory) const {
    std::uint8_t* block = out_ + parts.front().rows.begin / PanelView::kRows * geometry_.panel_bytes();
    for (Index i = 0; i < geometry_.blocks(); ++i, block += geometry_.block_bytes()) {
      geometry_.write_block(memory.windows.data() + i * TrellisGeometry::kBlockSteps * PanelView::kLanes, block);
    }
  }

 private:
  [[nodiscard]] static Index steps_of(Index cols) noexcept {
    return cols / TrellisGeometry::kLaneCols * TrellisGeometry::kStepsPerQuad;
  }
  /// The last columns' steps are followed by those of the padding.
  [[nodiscard]] Index end_step(ColRange columns) const noexcept {
    return columns.end == layout_.cols ? geometry_.steps() : steps_of(columns.end);
  }
  /// Where a weight of `part` is in [steps][64]; `col` counts from the first of the steps.
  [[nodiscard]] static std::size_t lane_at(const FeedbackRows& part, Index r, Index col) noexcept {
    const Index row = part.rows.begin + r;
    return static_cast<std::size_t>(TrellisGeometry::step_of(row, col) * PanelView::kLanes +
                                    TrellisGeometry::lane_of(row, col));
  }

  /// Makes room for a run, of zeros.
  static void reset(Index steps, Memory& memory) {
    const auto size = static_cast<std::size_t>(steps * PanelView::kLanes);
    memory.weights.assign(size, 0.0F);
    memory.importance.assign(size, 0.0F);
    memory.scales.assign(static_cast<std::size_t>(steps / TrellisGeometry::kStepsPerQuad * PanelView::kRows), 0.0F);
  }

  /// Puts values [columns][kFeedRows] where the search wants them, from column `to` on, with their scales.
  void place(const FeedbackRows& part, ColRange columns, const float* values, Index to, Memory& memory) const {
    for (Index c = 0; c < columns.size(); ++c) {
      for (Index r = 0; r < part.rows.size(); ++r) memory.weights[lane_at(part, r, to + c)] = values[c * kFeedRows + r];
    }
    for (Index c = 0; c < columns.size(); c += TrellisGeometry::kLaneCols) {
      const GroupRows& group = part.groups[static_cast<std::size_t>((columns.begin + c) / layout_.group_size)];
      const Index quad = (to + c) / TrellisGeometry::kLaneCols;
      std::copy_n(group.scale, part.rows.size(),
                  memory.scales.data() + quad * PanelView::kRows + part.rows.begin % PanelView::kRows);
    }
  }

  /// The importance of `columns`, from column `to` on: their pivots.
  static void weigh(const FeedbackFactor& factor, ColRange columns, Index to, Memory& memory) {
    const float* pivots = factor.panels.diagonal() + columns.begin;
    const float most = *std::max_element(pivots, pivots + columns.size());
    const float unit = most > 0.0F ? std::ldexp(1.0F, -std::ilogb(most)) : 0.0F;
    for (Index c = 0; c < columns.size(); ++c) {
      for (Index row = 0; row < PanelView::kRows; ++row) {
        const Index at =
            TrellisGeometry::step_of(row, to + c) * PanelView::kLanes + TrellisGeometry::lane_of(row, to + c);
        memory.importance[static_cast<std::size_t>(at)] = pivots[c] * unit;
      }
    }
  }

  [[nodiscard]] static PanelView aim(Memory& memory) {
    // A run may begin within a group: each quad comes with scales of its own.
    const Index steps = static_cast<Index>(memory.weights.size()) / PanelView::kLanes;
    const PanelView run{.weights = memory.weights.data(),
                        .importance = memory.importance.data(),
                        .steps = steps,
                        .group_steps = TrellisGeometry::kStepsPerQuad,
                        .cols = steps / TrellisGeometry::kStepsPerQuad * TrellisGeometry::kLaneCols};
    TrellisEncoder::aim(run, memory.scales.data(), memory.panel);
    return run;
  }

  void take_errors(ColRange commit, const Memory& memory, FeedbackRows& part) const {
    for (Index c = commit.begin; c < commit.end; ++c) {
      const GroupRows& group = part.groups[static_cast<std::size_t>(c / layout_.group_size)];
      float* column = part.columns.data() + c * kFeedRows;
      for (Index r = 0; r < part.rows.size(); ++r) {
        const int level = tables_.level(memory.windows[lane_at(part, r, c)]);
        const float value = static_cast<float>(level) * group.scale[r];
        column[r] -= value;
        if (!part.values.empty()) part.values[static_cast<std::size_t>(c * kFeedRows + r)] = value;
      }
    }
  }

  Layout layout_;
  TrellisGeometry geometry_;
  TrellisTables tables_;
  std::uint8_t* out_;
  TrellisSearch search_;
  Isa limit_;
};

}  // namespace sinq::inline SINQ_ABI::detail
