#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/feedback_rows.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/packing/pack_rows.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// kFeedCols neighbouring columns of kFeedRows rows on their way to codes.
struct Panel {
  Index first = 0;                  ///< position
  Index count = 0;                  ///< columns that exist
  float* weights = nullptr;         ///< [kFeedCols][kFeedRows], normalized; then their errors
  float* feed = nullptr;            ///< [kFeedCols][kFeedRows]: what errors of earlier columns add to them
  const float* coupling = nullptr;  ///< [kFeedCols][kFeedCols]: what column k takes from the error of i < k
  PanelColumn columns[kFeedCols]{};
};

/// The scalar codes of a quantized matrix: rounds panels to its levels, one column after the other, and writes the
/// codes of whole rows.
class PanelCodes {
 public:
  static constexpr Index kTaskRows = kAuxBlockRows;  ///< that are worked on together
  static constexpr Index kForesight = 0;             ///< columns behind those that are rounded that have a say

  /// The codes of kFeedRows rows before they are packed.
  struct Buffer {
    Vector<std::uint8_t> bytes;  ///< [positions][kFeedRows]
    Vector<std::uint8_t> row;    ///< one row, a byte a code
  };

  /// Working memory of a task.
  using Memory = std::array<Buffer, kTaskRows / kFeedRows>;

  PanelCodes(QuantizedMatrix& q, Isa limit) : layout_(q.layout()), codes_(q.region(Region::kCodes)), limit_(limit) {
    sort_levels(q.view().levels());
  }

  void begin(std::span<FeedbackRows> parts, const FeedbackFactor&, Memory& memory) const {
    for (std::size_t i = 0; i < parts.size(); ++i) reset(memory[i]);
  }

  /// Rounds `columns`, the next ones. Weights become errors.
  void encode(ColRange columns, const FeedbackFactor& factor, std::span<FeedbackRows> parts, Memory& memory) const {
    for (std::size_t i = 0; i < parts.size(); ++i) encode(columns, factor, parts[i], memory[i]);
  }

  /// Scales [kFeedRows] of a group that suit its targets.
  void fit_scales(const ScaleQuery& query, float* scale) const {
    dispatch(limit_, [&](auto tag) { ErrorFeedback<decltype(tag)>::fit_scales(query, grid(), scale); });
  }

  /// Writes the codes of all rows.
  void store(std::span<FeedbackRows> parts, const FeedbackFactor& factor, Memory& memory) const {
    for (std::size_t i = 0; i < parts.size(); ++i) store(parts[i].rows, factor.order, memory[i]);
  }

 private:
  void reset(Buffer& buffer) const {
    const auto padded = static_cast<std::size_t>(round_up(layout_.cols, kFeedCols) * kFeedRows);
    buffer.bytes.resize(padded);
    buffer.row.assign(static_cast<std::size_t>(round_up(layout_.cols, 8)) + 64, 0);
  }

  void encode(ColRange columns, const FeedbackFactor& factor, FeedbackRows& part, Buffer& buffer) const {
    for (Index first = columns.begin; first < columns.end; first += kFeedCols) {
      float fed[kFeedCols * kFeedRows];
      part.feed(first, first, factor.panels, fed, limit_);
      float* weights = part.columns.data() + first * kFeedRows;
      Panel panel{.first = first,
                  .count = std::min(kFeedCols, columns.end - first),
                  .weights = weights,
                  .feed = fed,
                  .coupling = FeedbackRows::coupling(first, factor.panels)};
      for (Index j = 0; j < panel.count; ++j) {
        const Index column = factor.order[static_cast<std::size_t>(first + j)];
        const GroupRows& group = part.groups[static_cast<std::size_t>(column / layout_.group_size)];
        panel.columns[j] = {group.scale, group.inverse, group.offset};
      }
      if (part.values.empty()) {
        encode(panel, buffer);
        continue;
      }
      float* values = part.values.data() + first * kFeedRows;
      std::copy_n(weights, kFeedCols * kFeedRows, values);
      encode(panel, buffer);
      for (Index i = 0; i < kFeedCols * kFeedRows; ++i) values[i] -= weights[i];
    }
  }

  void encode(const Panel& panel, Buffer& buffer) const {
    dispatch(limit_, [&](auto tag) {
      ErrorFeedback<decltype(tag)>::encode(panel.weights, panel.feed, panel.count, panel.coupling, panel.columns,
                                           grid(), buffer.bytes.data() + panel.first * kFeedRows);
    });
  }

  /// Writes the rows; `order` is the column of each position.
  void store(RowRange rows, std::span<const Index> order, Buffer& buffer) const {
    const ScalarCodes codes(layout_);
    for (Index r = 0; r < rows.size(); ++r) {
      store_row(r, order, buffer,
                reinterpret_cast<std::uint8_t*>(codes_.data()) + codes.code_offset(rows.begin + r, 0));
    }
  }

  [[nodiscard]] PanelGrid grid() const noexcept {
    return {.top = static_cast<float>((1 << layout_.bits) - 1),
            .levels = levels_.empty() ? nullptr : levels_.data(),
            .midpoints = midpoints_.data(),
            .bits = layout_.bits};
  }

  /// The container does not ask for ascending levels, the search does.
  void sort_levels(const float* levels) {
    if (levels == nullptr) return;
    const auto count = static_cast<std::size_t>(layout_.level_count);
    code_of_.resize(count);
    std::iota(code_of_.begin(), code_of_.end(), std::uint8_t{0});
    std::stable_sort(code_of_.begin(), code_of_.end(),
                     [&](std::uint8_t a, std::uint8_t b) { return levels[a] < levels[b]; });
    constexpr std::size_t kRoom = 16;  // lookup16 reads as many
    levels_.resize(std::max(count, kRoom));
    midpoints_.resize(levels_.size(), std::numeric_limits<float>::infinity());
    for (std::size_t k = 0; k < count; ++k) levels_[k] = levels[code_of_[k]];
    for (std::size_t k = 0; k + 1 < count; ++k) midpoints_[k] = 0.5F * levels_[k] + 0.5F * levels_[k + 1];
  }

  void store_row(Index r, std::span<const Index> order, Buffer& buffer, std::uint8_t* out) const {
    for (std::size_t k = 0; k < order.size(); ++k) {
      const std::uint8_t code = buffer.bytes[k * kFeedRows + static_cast<std::size_t>(r)];
      buffer.row[static_cast<std::size_t>(order[k])] = code_of_.empty() ? code : code_of_[code];
    }
    dispatch(limit_,
             [&](auto tag) { ScalarCodes(layout_).packer<decltype(tag)>()(buffer.row.data(), layout_.cols, out); });
  }

  Layout layout_;
  std::span<std::byte> codes_;
  Isa limit_;
  Vector<float> levels_, midpoints_;  ///< levels ascend
  Vector<std::uint8_t> code_of_;      ///< of each of them
};

}  // namespace sinq::inline SINQ_ABI::detail
