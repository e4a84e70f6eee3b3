#pragma once

#include <sinq/calibration/error_feedback.hpp>
#include <sinq/calibration/triangular_panels.hpp>
#include <sinq/detail/tile_loader.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// What codes of a group decode with: w = level * scale + offset, where offset = -zero_point * scale.
struct GroupRows {
  float scale[kFeedRows], inverse[kFeedRows], offset[kFeedRows], zero_point[kFeedRows];

  void set_scale(Index r, float value) noexcept {
    scale[r] = value;
    inverse[r] = value == 0.0F ? 0.0F : 1.0F / value;
    offset[r] = -zero_point[r] * value;
  }
};

/// Up to kFeedRows rows on their way to codes: what errors of columns that were rounded do to those that were not.
/// Columns are counted by position, the order in which they are rounded.
class FeedbackRows {
 public:
  RowRange rows;
  Vector<float> columns;     ///< [positions][kFeedRows]: normalized weights, then errors
  Vector<float> values;      ///< [positions][kFeedRows]: what the codes stand for, where `keep_values` was called
  Vector<GroupRows> groups;  ///< [groups]

  /// Normalized weights and stored parameters; rows and columns that do not exist are zero. `scratch` is memory for
  /// kFeedRows rows.
  void load(const MatrixView& w, const QuantizedView& q, RowRange range, std::span<const float> col_scale,
            std::span<const Index> order, Vector<float>& scratch) {
    rows = range;
    load_weights(w, q.layout(), col_scale, order, scratch);
    load_groups(q);
  }

  /// All columns before `part` are rounded: notes what their errors add to it.
  void begin(ColRange part, const TriangularPanels& panels, Isa limit) {
    begin_ = part.begin;
    feed_.assign(static_cast<std::size_t>(round_up(part.size(), kFeedCols) * kFeedRows), 0.0F);
    for (Index first = part.begin; first < part.end; first += kFeedCols) {
      add_errors(columns.data(), {0, begin_}, first, panels, feed_.data() + (first - begin_) * kFeedRows, limit);
    }
  }

  /// What the errors of all columns before `end` add to kFeedCols columns from `first` on, which lie in the part that
  /// was begun: feed [kFeedCols][kFeedRows].
  void feed(Index end, Index first, const TriangularPanels& panels, float* out, Isa limit) const {
    std::copy_n(feed_.data() + (first - begin_) * kFeedRows, kFeedCols * kFeedRows, out);
    add_errors(columns.data() + begin_ * kFeedRows, {begin_, end}, first, panels, out, limit);
  }

  /// The weights of `part`, the next to be rounded, as they would be if every error so far were made up for exactly:
  /// targets [columns padded to kFeedCols][kFeedRows]. `errors` is memory of that size.
  void aim(ColRange part, const TriangularPanels& panels, float* errors, float* targets, Isa limit) const {
    for (Index first = part.begin; first < part.end; first += kFeedCols) {
      float fed[kFeedCols * kFeedRows];
      const Index at = (first - part.begin) * kFeedRows;
      feed(part.begin, first, panels, fed, limit);
      add_errors(errors, {part.begin, first}, first, panels, fed, limit);
      dispatch(limit, [&](auto tag) {
        ErrorFeedback<decltype(tag)>::cancel(fed, kFeedCols, coupling(first, panels), errors + at);
      });
      const float* weights = columns.data() + first * kFeedRows;
      for (Index i = 0; i < kFeedCols * kFeedRows; ++i) targets[at + i] = weights[i] - errors[at + i];
    }
  }

  /// What columns of a panel take from the errors of those before them in it: [kFeedCols][kFeedCols].
  [[nodiscard]] static const float* coupling(Index first, const TriangularPanels& panels) noexcept {
    return panels.panel(first / kFeedCols) + first * kFeedCols;
  }

  void keep_values() { values.resize(columns.size()); }

 private:
  void load_weights(const MatrixView& w, const Layout& layout, std::span<const float> col_scale,
                    std::span<const Index> order, Vector<float>& scratch) {
    const Index cols = w.cols;
    scratch.resize(static_cast<std::size_t>(kFeedRows * cols));
    columns.assign(static_cast<std::size_t>(round_up(cols, kFeedCols) * kFeedRows), 0.0F);
    read_rect(w, {rows.begin, 0, rows.size(), cols}, scratch.data(), cols);
    for (Index k = 0; k < cols; ++k) {
      const Index c = order[static_cast<std::size_t>(k)];
      const float scale = col_scale[static_cast<std::size_t>(c)];
      const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
      // In two steps, because the product of both factors may leave the range of float.
      const float to_unit = 1.0F / layout.matrix_scale;
      float* out = columns.data() + k * kFeedRows;
      for (Index r = 0; r < rows.size(); ++r) {
        out[r] = scratch[static_cast<std::size_t>(r * cols + c)] * to_unit * inverse;
      }
    }
  }

  void load_groups(const QuantizedView& q) {
    groups.assign(static_cast<std::size_t>(q.groups()), GroupRows{});
    for (Index g = 0; g < q.groups(); ++g) {
      GroupRows& group = groups[static_cast<std::size_t>(g)];
      float scale[kFeedRows];
      q.group_scales(g, rows, scale);
      q.zero_points(g, rows, group.zero_point);
      for (Index r = 0; r < rows.size(); ++r) group.set_scale(r, scale[r]);
    }
  }

  /// Adds what `errors` [columns of `from`][kFeedRows] do to kFeedCols columns from `first` on.
  static void add_errors(const float* errors, ColRange from, Index first, const TriangularPanels& panels, float* out,
                         Isa limit) {
    const float* factor = panels.panel(first / kFeedCols) + from.begin * kFeedCols;
    dispatch(limit, [&](auto tag) { ErrorFeedback<decltype(tag)>::feed_back(errors, from.size(), factor, out); });
  }

  Index begin_ = 0;
  Vector<float> feed_;  ///< [columns of the part][kFeedRows]: what errors before begin_ add to them
};

}  // namespace sinq::inline SINQ_ABI::detail
