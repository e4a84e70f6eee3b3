#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/feedback_rows.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/packing/pack_rows.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// kFeedCols neighbouring columns of kFeedRows rows on their way to codes.
struct Panel {
  Index first = 0;                    ///< position
  Index count = 0;                    ///< columns that exist
  float* weights = nullptr;           ///< [kFeedCols][kFeedRows], normalized; then their errors
  float* feed = nullptr;              ///< [kFeedCols][kFeedRows]: what errors of earlier columns add to them
  const float* coupling = nullptr;    ///< [kFeedCols][kFeedCols]: what column k takes from the error of i < k
  const float* importance = nullptr;  ///< [kFeedCols] of squared errors
  PanelColumn columns[kFeedCols]{};
};

/// The scalar or vector codes of a quantized matrix: rounds panels to its levels, one column or vector after the other,
/// and writes the codes of whole rows.
class PanelCodes {
 public:
  static constexpr Index kTaskRows = kAuxBlockRows;  ///< that are worked on together
  static constexpr Index kForesight = 0;             ///< columns behind those that are rounded that have a say

  /// The codes of kFeedRows rows before they are packed.
  struct Buffer {
    Vector<std::uint8_t> bytes;     ///< scalar: [positions][kFeedRows]
    Vector<std::uint16_t> entries;  ///< vectors: [codes][kFeedRows]
    Vector<std::uint8_t> negative;  ///< vectors: [cols][kFeedRows]
    Vector<std::uint8_t> row;       ///< one row, a byte a code
  };

  /// Working memory of a task.
  using Memory = std::array<Buffer, kTaskRows / kFeedRows>;

  PanelCodes(QuantizedMatrix& q, Isa limit) : layout_(q.layout()), codes_(q.region(Region::kCodes)), limit_(limit) {
    const QuantizedView view = q.view();
    if (is_vector()) {
      signs_ = q.region(Region::kSigns);
      levels_.assign(view.byte_levels(), view.byte_levels() + VectorCodes(layout_).level_shape().size());
    } else {
      sort_levels(view.levels());
    }
  }

  void begin(std::span<FeedbackRows> parts, const FeedbackFactor&, Memory& memory) const {
    for (std::size_t i = 0; i < parts.size(); ++i) reset(memory[i]);
  }

  /// Rounds `columns`, the next ones. Weights become errors.
  void encode(ColRange columns, const FeedbackFactor& factor, std::span<FeedbackRows> parts, Memory& memory) const {
    for (std::size_t i = 0; i < parts.size(); ++i) encode(columns, factor, parts[i], memory[i]);
  }

  /// Whether `fit_scales` finds any: for each of its trials a table of vectors would be searched once more.
  [[nodiscard]] bool can_fit_scales() const noexcept { return !is_vector(); }
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
    if (is_vector()) {
      buffer.entries.resize(padded);
      buffer.negative.resize(padded);
    } else {
      buffer.bytes.resize(padded);
      buffer.row.assign(static_cast<std::size_t>(round_up(layout_.cols, 8)) + 64, 0);
    }
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
                  .coupling = FeedbackRows::coupling(first, factor.panels),
                  .importance = factor.panels.diagonal() + first};
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
    if (is_vector()) return encode_vectors(panel, buffer);
    dispatch(limit_, [&](auto tag) {
      ErrorFeedback<decltype(tag)>::encode(panel.weights, panel.feed, panel.count, panel.coupling, panel.columns,
                                           grid(), buffer.bytes.data() + panel.first * kFeedRows);
    });
  }

  /// Writes the rows; `order` is the column of each position.
  void store(RowRange rows, std::span<const Index> order, Buffer& buffer) const {
    const RowStreams streams(layout_);
    for (Index r = 0; r < rows.size(); ++r) {
      auto* out = reinterpret_cast<std::uint8_t*>(codes_.data()) + streams.code_offset(rows.begin + r, 0);
      if (is_vector()) {
        auto* signs = reinterpret_cast<std::uint8_t*>(signs_.data()) + streams.sign_offset(rows.begin + r, 0);
        store_vector_row(r, buffer, out, signs);
      } else {
        store_row(r, order, buffer, out);
      }
    }
  }

  [[nodiscard]] bool is_vector() const noexcept { return VectorCodes::holds(layout_); }

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

  void store_vector_row(Index r, const Buffer& buffer, std::uint8_t* out, std::uint8_t* signs) const {
    const auto at = [&](Index i) { return static_cast<std::size_t>(i * kFeedRows + r); };
    const RowStreams streams(layout_);
    std::fill(out, out + streams.row_bytes(), std::uint8_t{0});
    for (Index i = 0; i < streams.code_count(layout_.cols); ++i) put_code(out, i, layout_.bits, buffer.entries[at(i)]);
    if (layout_.signs != SignStorage::kSeparate) return;
    std::fill(signs, signs + streams.sign_row_bytes(), std::uint8_t{0});
    for (Index c = 0; c < layout_.cols; ++c) put_code(signs, c, 1, buffer.negative[at(c)]);
  }

  void encode_vectors(const Panel& panel, Buffer& buffer) const {
    for (Index j = 0; j < panel.count; j += layout_.vector_dim) {
      float steps[kFeedCols * kFeedRows], best[kFeedRows];
      choose_signs(panel, j, steps, buffer);
      const Index dim = layout_.vector_dim;
      const VectorQuery query{.table = levels_.data(),
                              .count = layout_.level_count,
                              .weights = panel.weights + j * kFeedRows,
                              .feed = panel.feed + j * kFeedRows,
                              .steps = steps,
                              .coupling = panel.coupling + j * kFeedCols + j,
                              .importance = panel.importance + j};
      dispatch(limit_, [&](auto tag) {
        using Kernel = ErrorFeedback<decltype(tag)>;
        if (dim == 2) Kernel::template nearest_entries<2>(query, best);
        if (dim == 4) Kernel::template nearest_entries<4>(query, best);
        if (dim == 8) Kernel::template nearest_entries<8>(query, best);
      });
      for (Index r = 0; r < kFeedRows; ++r) {
        const auto entry = static_cast<std::uint16_t>(best[r]);
        buffer.entries[static_cast<std::size_t>((panel.first + j) / dim * kFeedRows + r)] = entry;
        for (Index k = 0; k < dim; ++k) {
          const float level = levels_[static_cast<std::size_t>(entry * dim + k)];
          panel.weights[(j + k) * kFeedRows + r] -= steps[k * kFeedRows + r] * level;
        }
      }
      for (Index k = j; k < j + dim; ++k) {
        for (Index later = j + dim; later < panel.count; ++later) {
          const float by = panel.coupling[k * kFeedCols + later];
          for (Index r = 0; r < kFeedRows; ++r) {
            panel.feed[later * kFeedRows + r] += by * panel.weights[k * kFeedRows + r];
          }
        }
      }
    }
  }

  /// Takes the offsets off, and fixes separate signs as those of the weights: magnitudes are never negative.
  void choose_signs(const Panel& panel, Index j, float* steps, Buffer& buffer) const {
    const PanelColumn& column = panel.columns[j];  // a vector lies in one group
    for (Index k = 0; k < layout_.vector_dim; ++k) {
      for (Index r = 0; r < kFeedRows; ++r) {
        float& weight = panel.weights[(j + k) * kFeedRows + r];
        weight -= column.offset[r];
        const float target = weight + panel.feed[(j + k) * kFeedRows + r];
        steps[k * kFeedRows + r] =
            layout_.signs == SignStorage::kSeparate ? std::copysign(column.scale[r], target) : column.scale[r];
        buffer.negative[static_cast<std::size_t>((panel.first + j + k) * kFeedRows + r)] = std::signbit(target) ? 1 : 0;
      }
    }
  }

  Layout layout_;
  std::span<std::byte> codes_, signs_;
  Isa limit_;
  Vector<float> levels_, midpoints_;  ///< levels of scalar codes ascend
  Vector<std::uint8_t> code_of_;      ///< of each of them
};

}  // namespace sinq::inline SINQ_ABI::detail
