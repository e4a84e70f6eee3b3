#pragma once

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/calibration/triangular_panels.hpp>
#include <sinq/dequantize.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI {

/// What an error of the weights costs on the calibration's inputs.
enum class Loss : std::uint8_t {
  kL2,  ///< mean square of the outputs' error; with StatsKind::kChannels, as if channels were independent
  kL1,  ///< mean magnitude of the outputs' error, on the rows that the statistics kept
};

namespace detail {

/// Measures Loss of quantized forms of one matrix.
class OutputLoss {
 public:
  template <Executor E>
  OutputLoss(const MatrixView& w, const ActivationStats& stats, Loss loss, Isa limit, const E& executor)
      : w_(w), stats_(&stats), loss_(loss), limit_(limit) {
    if (loss == Loss::kL1) {
      load_samples();
    } else if (stats.kind() == StatsKind::kGram) {
      // e G e^T = sum over k of e_k (2 * sum over i < k of e_i G_ik + G_kk e_k)
      gram_ = TriangularPanels(
          w.cols, [&](Index i, Index k) { return 2.0 * per_token(stats.gram(i, k)); },
          [&](Index k) { return per_token(stats.gram(k, k)); }, executor);
    }
  }

  /// The mean over rows and tokens. The same bits for every number of threads.
  template <Executor E>
  [[nodiscard]] double measure(const QuantizedView& q, const E& executor) const {
    const Index tasks = ceil_div(w_.rows, kFeedRows);
    Vector<double> losses(static_cast<std::size_t>(tasks));
    std::vector<Worker> workers(static_cast<std::size_t>(worker_count(executor)));
    run_tasks(executor, tasks, [&](Index task, Index index) {
      Worker& worker = workers[static_cast<std::size_t>(index)];
      load_errors(q, {task * kFeedRows, std::min((task + 1) * kFeedRows, w_.rows)}, worker);
      losses[static_cast<std::size_t>(task)] = loss_ == Loss::kL1                       ? magnitude(worker)
                                               : stats_->kind() == StatsKind::kChannels ? channels(worker)
                                                                                        : square(worker);
    });
    double sum = 0.0;
    for (const double loss : losses) sum += loss;
    const auto unit = static_cast<double>(q.layout().matrix_scale);
    return sum / static_cast<double>(w_.rows) * (loss_ == Loss::kL1 ? unit : unit * unit);
  }

 private:
  struct Worker {
    Vector<float> rows, decoded;  ///< [kFeedRows][cols]
    Vector<float> errors;         ///< [cols][kFeedRows]
  };

  [[nodiscard]] double per_token(double sum) const noexcept { return sum / static_cast<double>(stats_->tokens()); }

  /// [panels][cols][kFeedCols]: samples side by side, as columns of a factor.
  void load_samples() {
    const Index cols = w_.cols;
    samples_.resize(static_cast<std::size_t>(round_up(stats_->sample_count(), kFeedCols) * cols));
    for (Index s = 0; s < stats_->sample_count(); ++s) {
      float* out = samples_.data() + s / kFeedCols * kFeedCols * cols + s % kFeedCols;
      for (const float x : stats_->sample(s)) {
        *out = x;
        out += kFeedCols;
      }
    }
  }

  /// In units of matrix_scale, so that products stay within float. Rows and columns that do not exist are zero.
  void load_errors(const QuantizedView& q, RowRange rows, Worker& worker) const {
    const auto size = static_cast<std::size_t>(kFeedRows * w_.cols);
    worker.rows.resize(size);
    worker.decoded.resize(size);
    worker.errors.assign(static_cast<std::size_t>(round_up(w_.cols, kFeedCols) * kFeedRows), 0.0F);
    read_rect(w_, {rows.begin, 0, rows.size(), w_.cols}, worker.rows.data(), w_.cols);
    dequantize_rows(q, rows, worker.decoded, 0, limit_);
    const float to_unit = 1.0F / q.layout().matrix_scale;
    for (Index r = 0; r < rows.size(); ++r) {
      for (Index c = 0; c < w_.cols; ++c) {
        const auto at = static_cast<std::size_t>(r * w_.cols + c);
        worker.errors[static_cast<std::size_t>(c * kFeedRows + r)] = (worker.rows[at] - worker.decoded[at]) * to_unit;
      }
    }
  }

  /// out[j][r] = sum over i < count of errors[i][r] * factor[i][j].
  void multiply(const Worker& worker, const float* factor, Index count, float* out) const {
    std::fill(out, out + kFeedCols * kFeedRows, 0.0F);
    dispatch(limit_,
             [&](auto tag) { ErrorFeedback<decltype(tag)>::feed_back(worker.errors.data(), count, factor, out); });
  }

  [[nodiscard]] double square(const Worker& worker) const {
    float products[kFeedCols * kFeedRows];
    double sum = 0.0;
    for (Index p = 0; p < gram_.count(); ++p) {
      multiply(worker, gram_.panel(p), (p + 1) * kFeedCols, products);
      const float* errors = worker.errors.data() + p * kFeedCols * kFeedRows;
      for (Index i = 0; i < kFeedCols * kFeedRows; ++i) {
        const auto e = static_cast<double>(errors[i]);
        const float weight = gram_.diagonal()[p * kFeedCols + i / kFeedRows];
        sum += e * (static_cast<double>(products[i]) + static_cast<double>(weight) * e);
      }
    }
    return sum;
  }

  [[nodiscard]] double channels(const Worker& worker) const {
    double sum = 0.0;
    for (Index c = 0; c < w_.cols; ++c) {
      for (Index r = 0; r < kFeedRows; ++r) {
        const auto e = static_cast<double>(worker.errors[static_cast<std::size_t>(c * kFeedRows + r)]);
        sum += e * e * stats_->mean_square(c);
      }
    }
    return sum;
  }

  [[nodiscard]] double magnitude(const Worker& worker) const {
    float outputs[kFeedCols * kFeedRows];
    double sum = 0.0;
    for (Index s = 0; s < stats_->sample_count(); s += kFeedCols) {
      multiply(worker, samples_.data() + s * w_.cols, w_.cols, outputs);
      for (const float y : outputs) sum += static_cast<double>(std::fabs(y));
    }
    return sum / static_cast<double>(stats_->sample_count());
  }

  MatrixView w_;
  const ActivationStats* stats_;
  Loss loss_;
  Isa limit_;
  TriangularPanels gram_;
  Vector<float> samples_;
};

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
