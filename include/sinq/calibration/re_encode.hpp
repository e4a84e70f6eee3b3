#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/panel_codes.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantized_matrix.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Chooses the codes of a quantized matrix anew, everything else as it is stored: column after column, every one
/// taking the errors of those before it.
class ReEncoder {
 public:
  ReEncoder(const MatrixView& w, QuantizedMatrix& q, Isa limit) : w_(w), view_(q.view()), codes_(q), limit_(limit) {}

  /// All rows of one row block.
  template <Executor E>
  void run(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor, const E& executor) {
    std::vector<Worker> workers(static_cast<std::size_t>(worker_count(executor)));
    run_tasks(executor, ceil_div(rows.size(), kFeedRows), [&](Index task, Index worker) {
      const Index first = rows.begin + task * kFeedRows;
      run_panel_rows({first, std::min(first + kFeedRows, rows.end)}, col_scale, factor,
                     workers[static_cast<std::size_t>(worker)]);
    });
  }

 private:
  struct Worker {
    Vector<float> rows;     ///< [kFeedRows][cols], as they stand in the matrix
    Vector<float> columns;  ///< [positions][kFeedRows]: normalized weights, then errors
    Vector<float> params;   ///< [groups][3][kFeedRows]
    PanelCodes::Buffer codes;
  };

  void run_panel_rows(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor,
                      Worker& worker) const {
    load(rows, col_scale, factor, worker);
    load_params(rows, worker);
    codes_.reset(worker.codes);
    const TriangularPanels& panels = factor.panels;
    for (Index p = 0; p < panels.count(); ++p) {
      const Index first = p * kFeedCols;
      float feed[kFeedCols * kFeedRows] = {};
      dispatch(limit_, [&](auto tag) {
        ErrorFeedback<decltype(tag)>::feed_back(worker.columns.data(), first, panels.panel(p), feed);
      });
      Panel panel{.first = first,
                  .count = std::min(kFeedCols, w_.cols - first),
                  .weights = worker.columns.data() + first * kFeedRows,
                  .feed = feed,
                  .coupling = panels.panel(p) + first * kFeedCols,
                  .importance = panels.diagonal() + first};
      for (Index j = 0; j < panel.count; ++j) {
        const Index group = factor.order[static_cast<std::size_t>(first + j)] / view_.layout().group_size;
        const float* at = worker.params.data() + group * 3 * kFeedRows;
        panel.columns[j] = {at, at + kFeedRows, at + 2 * kFeedRows};
      }
      codes_.encode(panel, worker.codes, limit_);
    }
    codes_.store(rows, factor.order, worker.codes, limit_);
  }

  /// Normalized weights by position; rows and columns that do not exist are zero.
  void load(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor, Worker& worker) const {
    const Index cols = w_.cols;
    worker.rows.resize(static_cast<std::size_t>(kFeedRows * cols));
    worker.columns.assign(static_cast<std::size_t>(round_up(cols, kFeedCols) * kFeedRows), 0.0F);
    read_rect(w_, {rows.begin, 0, rows.size(), cols}, worker.rows.data(), cols);
    for (Index k = 0; k < cols; ++k) {
      const Index c = factor.order[static_cast<std::size_t>(k)];
      const float scale = col_scale[static_cast<std::size_t>(c)];
      const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
      // In two steps, because the product of both factors may leave the range of float.
      const float to_unit = 1.0F / view_.layout().matrix_scale;
      float* out = worker.columns.data() + k * kFeedRows;
      for (Index r = 0; r < rows.size(); ++r) {
        out[r] = worker.rows[static_cast<std::size_t>(r * cols + c)] * to_unit * inverse;
      }
    }
  }

  void load_params(RowRange rows, Worker& worker) const {
    const Layout& layout = view_.layout();
    worker.params.assign(static_cast<std::size_t>(layout.groups() * 3 * kFeedRows), 0.0F);
    for (Index g = 0; g < layout.groups(); ++g) {
      float* scale = worker.params.data() + g * 3 * kFeedRows;
      float* inverse = scale + kFeedRows;
      float* offset = inverse + kFeedRows;
      view_.group_scales(g, rows, scale);
      if (layout.offset == OffsetKind::kOffset) {
        view_.stored_offsets(g, rows, offset);
      } else {
        view_.zero_points(g, rows, offset);
        for (Index r = 0; r < rows.size(); ++r) offset[r] *= -scale[r];
      }
      for (Index r = 0; r < rows.size(); ++r) inverse[r] = scale[r] == 0.0F ? 0.0F : 1.0F / scale[r];
    }
  }

  MatrixView w_;
  QuantizedView view_;
  PanelCodes codes_;
  Isa limit_;
};

}  // namespace sinq::inline SINQ_ABI::detail
