#pragma once

#include <sinq/calibration/symmetric_update.hpp>
#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/tile_loader.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/executor.hpp>
#include <sinq/finite.hpp>
#include <sinq/matrix_view.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace sinq::inline SINQ_ABI {

/// How much of its inputs a calibration remembers.
enum class StatsKind : std::uint8_t {
  kChannels,  ///< each channel by itself: [cols]
  kGram,      ///< also every pair of channels, [cols, cols] doubles: what GPTQ needs
};

/// What the inputs of one linear layer look like: channel c is what column c of its weights is multiplied with. Sums
/// are taken in double; statistics of several texts are merged into those of all.
class ActivationStats {
 public:
  /// Rows that are kept as they are, for losses that sums cannot give.
  static constexpr Index kDefaultSamples = 128;

  /// Of nothing yet. Throws Errc::kBadShape unless cols is at least 1, kBadConfig if `max_samples` is negative.
  explicit ActivationStats(Index cols, StatsKind kind = StatsKind::kGram, Index max_samples = kDefaultSamples)
      : cols_(cols), max_samples_(max_samples), kind_(kind) {
    if (cols < 1) SINQ_THROW(Errc::kBadShape, detail::text("ActivationStats: cols ", cols, " is not at least 1"));
    if (max_samples < 0) {
      SINQ_THROW(Errc::kBadConfig, detail::text("ActivationStats: max_samples ", max_samples, " is negative"));
    }
    const auto size = static_cast<std::size_t>(cols);
    abs_sum_.resize(size);
    square_sum_.resize(size);
    if (kind == StatsKind::kGram) gram_.resize(size * size);
  }

  [[nodiscard]] Index cols() const noexcept { return cols_; }
  [[nodiscard]] StatsKind kind() const noexcept { return kind_; }
  /// Rows seen so far.
  [[nodiscard]] Index tokens() const noexcept { return tokens_; }

  /// Mean of |x_c|; 0 before the first row.
  [[nodiscard]] double mean_abs(Index c) const noexcept { return mean(abs_sum_[static_cast<std::size_t>(c)]); }
  /// Mean of x_c^2; 0 before the first row.
  [[nodiscard]] double mean_square(Index c) const noexcept { return mean(square_sum_[static_cast<std::size_t>(c)]); }
  /// Sum of x_i x_j over all rows. Throws Errc::kBadConfig unless the kind is StatsKind::kGram.
  [[nodiscard]] double gram(Index i, Index j) const {
    if (kind_ != StatsKind::kGram) SINQ_THROW(Errc::kBadConfig, "ActivationStats: kChannels has no Gram matrix");
    return gram_[static_cast<std::size_t>(std::max(i, j) * cols_ + std::min(i, j))];
  }

  /// Different rows as they came, at most as many as the constructor was told. Which ones is decided by a hash of
  /// their contents: a random choice that depends on neither batches nor merges.
  [[nodiscard]] Index sample_count() const noexcept { return static_cast<Index>(samples_.size()); }
  [[nodiscard]] std::span<const float> sample(Index i) const noexcept {
    return samples_[static_cast<std::size_t>(i)].row;
  }

  /// Adds a batch x [count, cols]; one without rows adds nothing. The same bits for every number of threads.
  /// Throws Errc::kBadShape, or kBadData at a NaN or Inf (row, column and value) and is then as before.
  template <Executor E = Serial>
  void add(const MatrixView& x, const E& executor = {}, Isa limit = Isa::kBest) {
    if (x.cols != cols_) {
      SINQ_THROW(Errc::kBadShape,
                 detail::text("ActivationStats: the batch has ", x.cols, " columns, the statistics ", cols()));
    }
    static_cast<void>(detail::worker_count(executor));
    if (x.rows == 0) return;
    detail::require_readable("ActivationStats", x);
    detail::Vector<float> block(static_cast<std::size_t>(std::min(kBlockRows, x.rows) * cols_));
    for_each_block(x, block, [&](Index first, Index rows) { require_finite(first, rows, block); });
    detail::Vector<double> columns;
    for_each_block(x, block, [&](Index, Index rows) {
      for (Index r = 0; r < rows; ++r) add_row({block.data() + r * cols_, static_cast<std::size_t>(cols_)});
      if (kind_ == StatsKind::kGram) {
        columns.resize(static_cast<std::size_t>(cols_ * rows));
        for (Index c = 0; c < cols_; ++c) {
          for (Index r = 0; r < rows; ++r) {
            columns[static_cast<std::size_t>(c * rows + r)] =
                static_cast<double>(block[static_cast<std::size_t>(r * cols_ + c)]);
          }
        }
        detail::add_symmetric_product(gram_.data(), cols_, cols_, columns.data(), rows, 1.0, limit, executor);
      }
      *tokens_ += rows;
    });
  }

  /// Adds what `other` saw; the order of merges shows in the last bits alone. Throws Errc::kBadShape if the columns
  /// differ, kBadConfig if the kinds do.
  void merge(const ActivationStats& other) {
    if (other.cols_ != cols_) {
      SINQ_THROW(Errc::kBadShape,
                 detail::text("ActivationStats: merging ", other.cols(), " columns into ", cols(), " is impossible"));
    }
    if (other.kind_ != kind_) {
      SINQ_THROW(Errc::kBadConfig, "ActivationStats: merging needs the same StatsKind, one is kGram, one kChannels");
    }
    const auto add = [](detail::Vector<double>& to, const detail::Vector<double>& from) {
      for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
    };
    add(abs_sum_, other.abs_sum_);
    add(square_sum_, other.square_sum_);
    add(gram_, other.gram_);
    *tokens_ += other.tokens_;
    const std::vector<Sample> more = other.samples_;  // `other` may be this one
    for (const Sample& sample : more) keep(sample.hash, sample.row);
  }

 private:
  /// Rows of a batch that are worked on at a time: the depth of one update of the Gram matrix.
  static constexpr Index kBlockRows = 128;

  struct Sample {
    std::uint64_t hash;
    detail::Vector<float> row;
  };

  [[nodiscard]] double mean(double sum) const noexcept {
    return tokens_ == 0 ? 0.0 : sum / static_cast<double>(tokens_);
  }

  template <class F>
  void for_each_block(const MatrixView& x, detail::Vector<float>& block, F&& f) const {
    for (Index r = 0; r < x.rows; r += kBlockRows) {
      const Index rows = std::min(kBlockRows, x.rows - r);
      detail::read_rect(x, {r, 0, rows, cols_}, block.data(), cols_);
      f(r, rows);
    }
  }

  void require_finite(Index first, Index rows, const detail::Vector<float>& block) const {
    const Index i = first_not_finite(block.data(), rows * cols_);
    if (i == rows * cols_) return;
    SINQ_THROW(Errc::kBadData,
               detail::text("ActivationStats: activation [", first + i / cols_, ", ", i % cols_, "] is ",
                            block[static_cast<std::size_t>(i)], "; every activation must be finite"));
  }

  void add_row(std::span<const float> row) {
    // FNV-1a on whole numbers, then splitmix64's mixing.
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const auto x = static_cast<double>(row[c]);
      abs_sum_[c] += std::fabs(x);
      square_sum_[c] += x * x;
      hash = (hash ^ std::bit_cast<std::uint32_t>(row[c])) * 0x100000001b3U;
    }
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
    keep(hash ^ (hash >> 31), row);
  }

  /// Keeps the rows with the least hashes, in their order. Rows that come again, as those of a text's first token do,
  /// count once.
  void keep(std::uint64_t hash, std::span<const float> row) {
    const auto at = std::lower_bound(samples_.begin(), samples_.end(), hash,
                                     [](const Sample& s, std::uint64_t value) { return s.hash < value; });
    if (at - samples_.begin() == max_samples_ || (at != samples_.end() && at->hash == hash)) return;
    samples_.insert(at, {hash, {row.begin(), row.end()}});
    if (sample_count() > max_samples_) samples_.pop_back();
  }

  detail::ClearedOnMove<Index> cols_;
  Index max_samples_;
  StatsKind kind_;
  detail::ClearedOnMove<Index> tokens_;
  detail::Vector<double> abs_sum_, square_sum_;  ///< [cols]
  detail::Vector<double> gram_;                  ///< [cols, cols], lower triangle
  std::vector<Sample> samples_;
};

}  // namespace sinq::inline SINQ_ABI
