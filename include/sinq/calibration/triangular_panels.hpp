#pragma once

#include <sinq/calibration/error_feedback.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/executor.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// A strictly upper triangular matrix in the order in which error feedback reads it: panels of kFeedCols columns, of
/// panel p the rows before its end, [p * 8 + 8][8]; and a diagonal beside it.
class TriangularPanels {
 public:
  TriangularPanels() = default;
  /// above(i, k) for i < k, diagonal(k).
  template <class Above, class Diagonal, Executor E>
  TriangularPanels(Index size, const Above& above, const Diagonal& diagonal, const E& executor)
      : size_(size),
        values_(static_cast<std::size_t>(start(count()))),
        diagonal_(static_cast<std::size_t>(count() * kFeedCols)) {
    run_tasks(executor, count(), [&](Index p, Index) {
      float* out = values_.data() + start(p);
      for (Index i = 0; i < (p + 1) * kFeedCols; ++i) {
        for (Index k = p * kFeedCols; k < (p + 1) * kFeedCols; ++k) {
          *out++ = i < k && k < size ? static_cast<float>(above(i, k)) : 0.0F;
        }
      }
      for (Index k = p * kFeedCols; k < std::min((p + 1) * kFeedCols, size); ++k) {
        diagonal_[static_cast<std::size_t>(k)] = static_cast<float>(diagonal(k));
      }
    });
  }

  [[nodiscard]] Index size() const noexcept { return size_; }
  [[nodiscard]] Index count() const noexcept { return ceil_div(size_, kFeedCols); }
  [[nodiscard]] const float* panel(Index p) const noexcept { return values_.data() + start(p); }
  /// Padded with zeros to whole panels.
  [[nodiscard]] const float* diagonal() const noexcept { return diagonal_.data(); }

 private:
  [[nodiscard]] static constexpr Index start(Index p) noexcept { return kFeedCols * kFeedCols * (p * (p + 1) / 2); }

  Index size_ = 0;
  Vector<float> values_, diagonal_;
};

}  // namespace sinq::inline SINQ_ABI::detail
