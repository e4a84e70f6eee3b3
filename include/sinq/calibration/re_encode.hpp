#pragma once

#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/feedback_rows.hpp>
#include <sinq/calibration/scale_system.hpp>
#include <sinq/calibration/stored_scales.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantized_matrix.hpp>

#include <array>
#include <optional>

namespace sinq::inline SINQ_ABI::detail {

/// Chooses the codes of a quantized matrix anew, column after column, every one taking the errors of those before it.
/// Group scales may follow: before the columns of a group are rounded, to the targets that earlier errors have made of
/// its weights; and when all codes stand. Everything else is as it is stored. `Codes` are what is chosen from:
/// `PanelCodes`, `TrellisBlocks`.
template <class Codes>
class ReEncoder {
 public:
  ReEncoder(const MatrixView& w, QuantizedMatrix& q, Isa limit)
      : w_(w), view_(q.view()), codes_(q, limit), scales_(q), limit_(limit) {}

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
    const Index first = rows.begin / kTaskRows, end = ceil_div(rows.end, kTaskRows);
    run_tasks(executor, end - first, [&](Index task, Index worker) {
      const Index begin = (first + task) * kTaskRows;
      run_rows({std::max(begin, rows.begin), std::min(begin + kTaskRows, rows.end)}, col_scale, factor,
               workers[static_cast<std::size_t>(worker)]);
    });
  }

 private:
  static constexpr Index kTaskRows = Codes::kTaskRows;
  static_assert(kTaskRows % kAuxBlockRows == 0 && kAuxBlockRows % kFeedRows == 0);

  struct Worker {
    std::array<FeedbackRows, static_cast<std::size_t>(kTaskRows / kFeedRows)> parts;
    typename Codes::Memory codes;
    Vector<float> rows;               ///< [kFeedRows][cols], as they stand in the matrix
    Vector<float> targets;            ///< [columns of a group][kFeedRows]
    Vector<float> errors, multiples;  ///< [cols][kFeedRows], in the order of the columns: what ScaleSystem reads
    Vector<float> scales;             ///< [groups][kTaskRows]
    std::optional<ScaleSystem> system;
  };
  using Parts = std::span<FeedbackRows>;

  void run_rows(RowRange rows, std::span<const float> col_scale, const FeedbackFactor& factor, Worker& worker) const {
    const Parts parts = Parts(worker.parts).first(static_cast<std::size_t>(ceil_div(rows.size(), kFeedRows)));
    for (Index i = 0; i < static_cast<Index>(parts.size()); ++i) {
      const Index begin = rows.begin + i * kFeedRows;
      FeedbackRows& part = parts[static_cast<std::size_t>(i)];
      part.load(w_, view_, {begin, std::min(begin + kFeedRows, rows.end)}, col_scale, factor.order, worker.rows);
      if (worker.system) part.keep_values();
    }
    codes_.begin(parts, factor, worker.codes);
    // In another order, the columns of a group are not neighbours.
    const bool in_groups = factor.is_natural();
    const Index stretch = in_groups ? view_.layout().group_size : w_.cols;
    for (Index begin = 0; begin < w_.cols; begin += stretch) {
      const ColRange columns{begin, std::min(begin + stretch, w_.cols)};
      const ColRange seen{begin, std::min(columns.end + Codes::kForesight, w_.cols)};
      for (FeedbackRows& part : parts) part.begin(seen, factor.panels, limit_);
      if (worker.system && in_groups) fit_scales(rows, columns, factor.panels, parts, worker);
      codes_.encode(columns, factor, parts, worker.codes);
    }
    codes_.store(parts, factor, worker.codes);
    if (worker.system) refit_scales(rows, factor, parts, worker);
  }

  /// Calls f(rows of one aux block, where they begin among `rows`).
  template <class F>
  static void for_each_aux_block(RowRange rows, F f) {
    for (Index begin = rows.begin; begin < rows.end; begin += kAuxBlockRows) {
      f(RowRange{begin, std::min(begin + kAuxBlockRows, rows.end)}, begin - rows.begin);
    }
  }

  /// Stores scales of a group that suit its weights as they would be if all errors so far were made up for exactly.
  void fit_scales(RowRange rows, ColRange columns, const TriangularPanels& panels, Parts parts, Worker& worker) const {
    const Index group = columns.begin / view_.layout().group_size;
    const auto size = static_cast<std::size_t>(round_up(columns.size(), kFeedCols) * kFeedRows);
    std::array<float, static_cast<std::size_t>(kTaskRows)> scales{};
    worker.errors.resize(size);
    worker.targets.resize(size);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const FeedbackRows& part = parts[i];
      const GroupRows& params = part.groups[static_cast<std::size_t>(group)];
      part.aim(columns, panels, worker.errors.data(), worker.targets.data(), limit_);
      float* scale = scales.data() + static_cast<Index>(i) * kFeedRows;
      std::copy_n(params.scale, kFeedRows, scale);
      codes_.fit_scales({.count = columns.size(),
                         .weights = part.columns.data() + columns.begin * kFeedRows,
                         .targets = worker.targets.data(),
                         .importance = panels.diagonal() + columns.begin,
                         .zero_point = params.zero_point},
                        scale);
    }
    for_each_aux_block(rows,
                       [&](RowRange block, Index at) { scales_.store(group, block, scales.data() + at, limit_); });
    for (std::size_t i = 0; i < parts.size(); ++i) {
      GroupRows& params = parts[i].groups[static_cast<std::size_t>(group)];
      for (Index r = 0; r < parts[i].rows.size(); ++r) {
        params.set_scale(r, scales[i * std::size_t{kFeedRows} + static_cast<std::size_t>(r)]);
      }
    }
  }

  /// Moves the scales of each row to where they suit all its codes, together, best.
  void refit_scales(RowRange rows, const FeedbackFactor& factor, Parts parts, Worker& worker) const {
    const Index groups = view_.layout().groups();
    worker.scales.assign(static_cast<std::size_t>(groups * kTaskRows), 0.0F);
    Vector<double> row(static_cast<std::size_t>(groups));
    for (const FeedbackRows& part : parts) {
      worker.errors.assign(part.columns.size(), 0.0F);
      worker.multiples.assign(part.columns.size(), 0.0F);
      for (Index k = 0; k < w_.cols; ++k) {
        const Index column = factor.order[static_cast<std::size_t>(k)];
        const GroupRows& params = part.groups[static_cast<std::size_t>(column / view_.layout().group_size)];
        for (Index r = 0; r < kFeedRows; ++r) {
          const auto from = static_cast<std::size_t>(k * kFeedRows + r);
          const auto to = static_cast<std::size_t>(column * kFeedRows + r);
          worker.errors[to] = part.columns[from];
          worker.multiples[to] = part.values[from] * params.inverse[r];
        }
      }
      worker.system->assemble(worker.errors.data(), worker.multiples.data(), limit_);
      for (Index r = 0; r < part.rows.size(); ++r) {
        for (Index g = 0; g < groups; ++g) {
          row[static_cast<std::size_t>(g)] = static_cast<double>(part.groups[static_cast<std::size_t>(g)].scale[r]);
        }
        worker.system->solve(r, row, [&](Index g, double scale) {
          const float old = part.groups[static_cast<std::size_t>(g)].scale[r];
          return static_cast<double>(scales_.nearest(g, part.rows.begin + r, scale, old));
        });
        for (Index g = 0; g < groups; ++g) {
          worker.scales[static_cast<std::size_t>(g * kTaskRows + part.rows.begin - rows.begin + r)] =
              static_cast<float>(row[static_cast<std::size_t>(g)]);
        }
      }
    }
    for (Index g = 0; g < groups; ++g) {
      float* const scales = worker.scales.data() + g * kTaskRows;
      for_each_aux_block(rows, [&](RowRange block, Index at) { scales_.put(g, block, scales + at, limit_); });
    }
  }

  MatrixView w_;
  QuantizedView view_;
  Codes codes_;
  StoredScales scales_;
  Isa limit_;
};

}  // namespace sinq::inline SINQ_ABI::detail
