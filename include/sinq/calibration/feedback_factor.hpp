#pragma once

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/calibration/cholesky.hpp>
#include <sinq/calibration/triangular_panels.hpp>
#include <sinq/detail/vector.hpp>

#include <numeric>

namespace sinq::inline SINQ_ABI {

/// Which column is rounded first; its error is spread over all others, that of the last over none.
enum class ColumnOrder : std::uint8_t {
  kNatural,       ///< from left to right
  kByActivation,  ///< what the outputs depend on most comes first ("act-order"); scalar codes only
};

namespace detail {

/// H' = C H C + damping * mean diagonal, the Gram matrix as it is for weights divided by the column scales C. Channels
/// that were always zero get the mean diagonal: they take no part.
class NormalizedGram {
 public:
  NormalizedGram(const ActivationStats& stats, std::span<const float> col_scale, double damping)
      : stats_(stats), col_scale_(col_scale), damping_(damping) {
    double sum = 0.0;
    for (Index c = 0; c < size(); ++c) sum += undamped(c, c);
    if (sum > 0.0) mean_ = sum / static_cast<double>(size());
  }

  [[nodiscard]] Index tokens() const noexcept { return stats_.tokens(); }
  [[nodiscard]] double damping() const noexcept { return damping_; }
  [[nodiscard]] Index size() const noexcept { return stats_.cols(); }
  /// Of the diagonal, without damping; what makes numbers of any unit floats.
  [[nodiscard]] double mean() const noexcept { return mean_; }
  [[nodiscard]] double undamped(Index a, Index b) const {
    return static_cast<double>(col_scale_[static_cast<std::size_t>(a)]) * stats_.gram(a, b) *
           static_cast<double>(col_scale_[static_cast<std::size_t>(b)]);
  }
  [[nodiscard]] double operator()(Index a, Index b) const {
    const double x = undamped(a, b);
    return a != b ? x : (x > 0.0 ? x : mean_) + damping_ * mean_;
  }

 private:
  const ActivationStats& stats_;
  std::span<const float> col_scale_;
  double damping_;
  double mean_ = 1.0;
};

/// How errors of earlier columns are fed to later ones, in an order of the columns.
struct FeedbackFactor {
  Vector<Index> order;      ///< column of each position
  TriangularPanels panels;  ///< U and D of H' = (I + U) D (I + U)^T, by positions

  [[nodiscard]] bool is_natural() const noexcept { return std::is_sorted(order.begin(), order.end()); }
};

/// The columns in the order in which they are rounded; equally important ones from left to right.
[[nodiscard]] inline Vector<Index> column_order(ColumnOrder order, const NormalizedGram& gram) {
  Vector<Index> out(static_cast<std::size_t>(gram.size()));
  std::iota(out.begin(), out.end(), Index{0});
  if (order == ColumnOrder::kNatural) return out;
  std::stable_sort(out.begin(), out.end(), [&](Index a, Index b) { return gram.undamped(a, a) > gram.undamped(b, b); });
  return out;
}

/// Source: QuIP (arXiv 2307.13304), whose LDLQ is GPTQ without an inverse. Throws Errc::kBadData if H' is not positive
/// definite.
template <Executor E>
[[nodiscard]] FeedbackFactor factorize_feedback(const NormalizedGram& gram, ColumnOrder order, Isa limit,
                                                const E& executor) {
  const Index size = gram.size();
  FeedbackFactor out{.order = column_order(order, gram), .panels = {}};
  const auto column = [&](Index position) { return out.order[static_cast<std::size_t>(position)]; };

  // H' = R R^T with R upper triangular is the usual factorization of the matrix in reverse order.
  Vector<double> h(static_cast<std::size_t>(size * size));
  const auto reversed = [&](Index i, Index k) -> double& {
    return h[static_cast<std::size_t>((size - 1 - i) * size + size - 1 - k)];
  };
  run_tasks(executor, size, [&](Index i, Index) {
    for (Index k = i; k < size; ++k) reversed(i, k) = gram(column(i), column(k));
  });
  if (!factorize_cholesky(h.data(), size, limit, executor)) {
    SINQ_THROW(Errc::kBadData,
               text("gptq: the Gram matrix of ", gram.tokens(), " tokens is not positive definite with damping ",
                    gram.damping(), "; more damping or more tokens are needed"));
  }
  const auto above = [&](Index i, Index k) { return reversed(i, k) / reversed(k, k); };
  const auto pivot = [&](Index k) { return reversed(k, k) * reversed(k, k) / gram.mean(); };
  out.panels = TriangularPanels(size, above, pivot, executor);
  return out;
}

/// H' by columns, in units of its mean.
template <Executor E>
[[nodiscard]] TriangularPanels gram_panels(const NormalizedGram& gram, const E& executor) {
  return {gram.size(), [&](Index i, Index k) { return gram(i, k) / gram.mean(); },
          [&](Index k) { return gram(k, k) / gram.mean(); }, executor};
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
