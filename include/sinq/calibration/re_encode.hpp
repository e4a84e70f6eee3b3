#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/panel_codes.hpp>
#include <sinq/calibration/scale_system.hpp>
#include <sinq/calibration/stored_scales.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantized_matrix.hpp>

#include <optional>

namespace sinq::inline SINQ_ABI::detail {

/// Chooses the codes of a quantized matrix anew, column after column, every one taking the errors of those before it.
/// Group scales may follow: before the columns of a group are rounded, to the targets that earlier errors have made of
/// its weights; and when all codes stand. Everything else is as it is stored.
class ReEncoder {
 public:
  ReEncoder(const MatrixView& w, QuantizedMatrix& q, Isa limit)
      : w_(w), view_(q.view()), codes_(q), scales_(q), limit_(limit) {}

  /// Whether group scales of this matrix can follow.
  [[nodiscard]] bool can_follow() const noexcept { return scales_.can_follow(); }

  /// All rows of one row block. With `hessian`, H' by columns, group scales follow.
  template <Executor E>
  void run(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor,
           const TriangularPanels* hessian, const E& executor) {
    std::vector<Worker> workers(static_cast<std::size_t>(worker_count(executor)));
    if (hessian != nullptr) {
      for (Worker& worker : workers) worker.system.emplace(*hessian, view_.layout().group_size);
    }
    // Rows of one aux block belong to one task.
    const Index first = rows.begin / kAuxBlockRows, end = ceil_div(rows.end, kAuxBlockRows);
    run_tasks(executor, end - first, [&](Index task, Index worker) {
      const Index begin = (first + task) * kAuxBlockRows;
      run_rows({std::max(begin, rows.begin), std::min(begin + kAuxBlockRows, rows.end)}, col_scale, factor,
               workers[static_cast<std::size_t>(worker)]);
    });
  }

 private:
  static constexpr Index kParts = kAuxBlockRows / kFeedRows;

  /// What codes of a group decode with: w = level * scale + offset, where offset = fixed - zero_point * scale.
  struct GroupParams {
    float scale[kFeedRows], inverse[kFeedRows], offset[kFeedRows], zero_point[kFeedRows], fixed[kFeedRows];

    void set_scale(Index r, float value) noexcept {
      scale[r] = value;
      inverse[r] = value == 0.0F ? 0.0F : 1.0F / value;
      offset[r] = fixed[r] - zero_point[r] * value;
    }
  };

  /// Up to kFeedRows rows.
  struct Part {
    RowRange rows;
    Vector<float> columns;  ///< [positions][kFeedRows]: normalized weights, then errors
    Vector<float> values;   ///< [positions][kFeedRows]: what the codes stand for; only if scales follow
    Vector<float> feed;     ///< [columns of a group][kFeedRows]: what errors of earlier groups add to them
    Vector<GroupParams> params;
    PanelCodes::Buffer codes;
  };
  struct Worker {
    Part parts[kParts];
    Vector<float> rows;               ///< [kFeedRows][cols], as they stand in the matrix
    Vector<float> targets;            ///< [columns of a group][kFeedRows]
    Vector<float> errors, multiples;  ///< [cols][kFeedRows], in the order of the columns: what ScaleSystem reads
    Vector<float> scales;             ///< [groups][kAuxBlockRows]
    std::optional<ScaleSystem> system;
  };

  void run_rows(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor, Worker& worker) const {
    const std::span<Part> parts =
        std::span(worker.parts).first(static_cast<std::size_t>(ceil_div(rows.size(), kFeedRows)));
    for (Part& part : parts) {
      const Index begin = rows.begin + (&part - parts.data()) * kFeedRows;
      part.rows = {begin, std::min(begin + kFeedRows, rows.end)};
      load(col_scale, factor, worker, part);
      load_params(part);
      codes_.reset(part.codes);
    }
    const bool in_groups = worker.system && factor.is_natural() && codes_.can_fit_scales();
    const Index stretch = in_groups ? view_.layout().group_size : w_.cols;
    for (Index begin = 0; begin < w_.cols; begin += stretch) {
      const ColRange columns{begin, std::min(begin + stretch, w_.cols)};
      for (Part& part : parts) feed_group(columns, factor.panels, part);
      if (in_groups) fit_scales(rows, columns, factor.panels, parts, worker);
      for (Part& part : parts) encode(columns, factor, worker.system.has_value(), part);
    }
    for (Part& part : parts) codes_.store(part.rows, factor.order, part.codes, limit_);
    if (worker.system) refit_scales(rows, factor, parts, worker);
  }

  /// Normalized weights by position; rows and columns that do not exist are zero.
  void load(std::span<const float> col_scale, const FeedbackFactor& factor, Worker& worker, Part& part) const {
    const Index cols = w_.cols;
    worker.rows.resize(static_cast<std::size_t>(kFeedRows * cols));
    part.columns.assign(static_cast<std::size_t>(round_up(cols, kFeedCols) * kFeedRows), 0.0F);
    if (worker.system) part.values.resize(part.columns.size());
    read_rect(w_, {part.rows.begin, 0, part.rows.size(), cols}, worker.rows.data(), cols);
    for (Index k = 0; k < cols; ++k) {
      const Index c = factor.order[static_cast<std::size_t>(k)];
      const float scale = col_scale[static_cast<std::size_t>(c)];
      const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
      // In two steps, because the product of both factors may leave the range of float.
      const float to_unit = 1.0F / view_.layout().matrix_scale;
      float* out = part.columns.data() + k * kFeedRows;
      for (Index r = 0; r < part.rows.size(); ++r) {
        out[r] = worker.rows[static_cast<std::size_t>(r * cols + c)] * to_unit * inverse;
      }
    }
  }

  void load_params(Part& part) const {
    const Layout& layout = view_.layout();
    part.params.assign(static_cast<std::size_t>(layout.groups()), GroupParams{});
    for (Index g = 0; g < layout.groups(); ++g) {
      GroupParams& params = part.params[static_cast<std::size_t>(g)];
      float scale[kFeedRows];
      view_.group_scales(g, part.rows, scale);
      if (layout.offset == OffsetKind::kOffset) {
        view_.stored_offsets(g, part.rows, params.fixed);
      } else {
        view_.zero_points(g, part.rows, params.zero_point);
      }
      for (Index r = 0; r < part.rows.size(); ++r) params.set_scale(r, scale[r]);
    }
  }

  /// What the errors before `columns` add to them.
  void feed_group(ColRange columns, const TriangularPanels& panels, Part& part) const {
    part.feed.assign(static_cast<std::size_t>(round_up(columns.size(), kFeedCols) * kFeedRows), 0.0F);
    for (Index first = columns.begin; first < columns.end; first += kFeedCols) {
      feed(part.columns.data(), {0, columns.begin}, first, panels,
           part.feed.data() + (first - columns.begin) * kFeedRows);
    }
  }

  /// Adds what the errors of columns `from` do to kFeedCols columns from `first` on.
  void feed(const float* errors, ColRange from, Index first, const TriangularPanels& panels, float* targets) const {
    const float* factor = panels.panel(first / kFeedCols) + from.begin * kFeedCols;
    dispatch(limit_, [&](auto tag) { ErrorFeedback<decltype(tag)>::feed_back(errors, from.size(), factor, targets); });
  }

  /// Stores scales of a group that suit its weights as they would be if all errors so far were made up for exactly.
  void fit_scales(RowRange rows, ColRange columns, const TriangularPanels& panels, std::span<Part> parts,
                  Worker& worker) const {
    const Index group = columns.begin / view_.layout().group_size;
    float scales[kAuxBlockRows] = {};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Part& part = parts[i];
      GroupParams& params = part.params[static_cast<std::size_t>(group)];
      worker.errors.resize(part.feed.size());
      worker.targets.resize(part.feed.size());
      for (Index first = columns.begin; first < columns.end; first += kFeedCols) {
        float fed[kFeedCols * kFeedRows];
        const Index at = (first - columns.begin) * kFeedRows;
        std::copy_n(part.feed.data() + at, kFeedCols * kFeedRows, fed);
        feed(worker.errors.data(), {columns.begin, first}, first, panels, fed);
        const float* coupling = panels.panel(first / kFeedCols) + first * kFeedCols;
        dispatch(limit_, [&](auto tag) {
          ErrorFeedback<decltype(tag)>::cancel(fed, kFeedCols, coupling, worker.errors.data() + at);
        });
        for (Index k = 0; k < kFeedCols * kFeedRows; ++k) {
          worker.targets[static_cast<std::size_t>(at + k)] =
              part.columns[static_cast<std::size_t>(first * kFeedRows + k)] -
              worker.errors[static_cast<std::size_t>(at + k)] - params.fixed[k % kFeedRows];
        }
      }
      float* scale = scales + i * kFeedRows;
      std::copy_n(params.scale, kFeedRows, scale);
      codes_.fit_scales({.count = columns.size(),
                         .targets = worker.targets.data(),
                         .importance = panels.diagonal() + columns.begin,
                         .zero_point = params.zero_point},
                        scale, limit_);
    }
    scales_.store(group, rows, scales, limit_);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      GroupParams& params = parts[i].params[static_cast<std::size_t>(group)];
      for (Index r = 0; r < parts[i].rows.size(); ++r)
        params.set_scale(r, scales[static_cast<Index>(i) * kFeedRows + r]);
    }
  }

  /// Rounds columns one after the other. Weights become errors.
  void encode(ColRange columns, const FeedbackFactor& factor, bool keep_values, Part& part) const {
    for (Index first = columns.begin; first < columns.end; first += kFeedCols) {
      float* weights = part.columns.data() + first * kFeedRows;
      float* fed = part.feed.data() + (first - columns.begin) * kFeedRows;
      feed(part.columns.data() + columns.begin * kFeedRows, {columns.begin, first}, first, factor.panels, fed);
      Panel panel{.first = first,
                  .count = std::min(kFeedCols, columns.end - first),
                  .weights = weights,
                  .feed = fed,
                  .coupling = factor.panels.panel(first / kFeedCols) + first * kFeedCols,
                  .importance = factor.panels.diagonal() + first};
      for (Index j = 0; j < panel.count; ++j) {
        const GroupParams& params = part.params[static_cast<std::size_t>(group_at(first + j, factor))];
        panel.columns[j] = {params.scale, params.inverse, params.offset};
      }
      float* values = part.values.data() + first * kFeedRows;
      if (keep_values) std::copy_n(weights, kFeedCols * kFeedRows, values);
      codes_.encode(panel, part.codes, limit_);
      for (Index k = 0; keep_values && k < kFeedCols * kFeedRows; ++k) values[k] -= weights[k];
    }
  }

  [[nodiscard]] Index group_at(Index position, const FeedbackFactor& factor) const noexcept {
    return factor.order[static_cast<std::size_t>(position)] / view_.layout().group_size;
  }

  /// Moves the scales of each row to where they suit all its codes, together, best.
  void refit_scales(RowRange rows, const FeedbackFactor& factor, std::span<Part> parts, Worker& worker) const {
    const Index groups = view_.layout().groups();
    worker.scales.assign(static_cast<std::size_t>(groups * kAuxBlockRows), 0.0F);
    Vector<double> row(static_cast<std::size_t>(groups));
    for (const Part& part : parts) {
      const auto padded = static_cast<std::size_t>(round_up(w_.cols, kFeedCols) * kFeedRows);
      worker.errors.assign(padded, 0.0F);
      worker.multiples.assign(padded, 0.0F);
      for (Index k = 0; k < w_.cols; ++k) {
        const Index to = factor.order[static_cast<std::size_t>(k)] * kFeedRows;
        const GroupParams& params = part.params[static_cast<std::size_t>(group_at(k, factor))];
        for (Index r = 0; r < kFeedRows; ++r) {
          const auto from = static_cast<std::size_t>(k * kFeedRows + r), at = static_cast<std::size_t>(to + r);
          worker.errors[at] = part.columns[from];
          worker.multiples[at] = (part.values[from] - params.fixed[r]) * params.inverse[r];
        }
      }
      worker.system->assemble(worker.errors.data(), worker.multiples.data(), limit_);
      for (Index r = 0; r < part.rows.size(); ++r) {
        for (Index g = 0; g < groups; ++g) {
          row[static_cast<std::size_t>(g)] = static_cast<double>(part.params[static_cast<std::size_t>(g)].scale[r]);
        }
        worker.system->solve(r, row, [&](Index g, double scale) {
          const float old = part.params[static_cast<std::size_t>(g)].scale[r];
          return static_cast<double>(scales_.nearest(g, part.rows.begin + r, scale, old));
        });
        for (Index g = 0; g < groups; ++g) {
          worker.scales[static_cast<std::size_t>(g * kAuxBlockRows + part.rows.begin - rows.begin + r)] =
              static_cast<float>(row[static_cast<std::size_t>(g)]);
        }
      }
    }
    for (Index g = 0; g < groups; ++g) scales_.put(g, rows, worker.scales.data() + g * kAuxBlockRows, limit_);
  }

  MatrixView w_;
  QuantizedView view_;
  PanelCodes codes_;
  StoredScales scales_;
  Isa limit_;
};

}  // namespace sinq::inline SINQ_ABI::detail
