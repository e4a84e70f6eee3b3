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

/// How errors of earlier columns are fed to later ones, in an order of the columns.
struct FeedbackFactor {
  Vector<Index> order;      ///< column of each position
  TriangularPanels panels;  ///< U and D of H' = (I + U) D (I + U)^T, by positions
};

/// The columns in the order in which they are rounded; equally important ones from left to right.
[[nodiscard]] inline Vector<Index> column_order(ColumnOrder order, const ActivationStats& stats,
                                                std::span<const float> col_scale) {
  Vector<Index> out(col_scale.size());
  std::iota(out.begin(), out.end(), Index{0});
  if (order == ColumnOrder::kNatural) return out;
  const auto importance = [&](Index c) {
    const auto scale = static_cast<double>(col_scale[static_cast<std::size_t>(c)]);
    return scale * scale * stats.gram(c, c);
  };
  std::stable_sort(out.begin(), out.end(), [&](Index a, Index b) { return importance(a) > importance(b); });
  return out;
}

/// Factors H' = C H C + damping * mean diagonal, the Gram matrix as it is for weights divided by the column scales C.
/// Channels that were always zero get the mean diagonal: they take no part. Source: QuIP (arXiv 2307.13304), whose LDLQ
/// is GPTQ without an inverse. Throws Errc::kBadData if H' is not positive definite.
template <Executor E>
[[nodiscard]] FeedbackFactor factorize_feedback(const ActivationStats& stats, std::span<const float> col_scale,
                                                ColumnOrder order, double damping, Isa limit, const E& executor) {
  const Index size = stats.cols();
  const auto scale = [&](Index c) { return static_cast<double>(col_scale[static_cast<std::size_t>(c)]); };
  Vector<double> diagonal(static_cast<std::size_t>(size));
  double sum = 0.0;
  for (Index c = 0; c < size; ++c) {
    const double d = scale(c) * stats.gram(c, c) * scale(c);
    diagonal[static_cast<std::size_t>(c)] = d;
    sum += d;
  }
  const double mean = sum > 0.0 ? sum / static_cast<double>(size) : 1.0;
  FeedbackFactor out{.order = column_order(order, stats, col_scale), .panels = {}};
  const auto column = [&](Index position) { return out.order[static_cast<std::size_t>(position)]; };

  // H' = R R^T with R upper triangular is the usual factorization of the matrix in reverse order.
  Vector<double> h(static_cast<std::size_t>(size * size));
  const auto reversed = [&](Index i, Index k) -> double& {
    return h[static_cast<std::size_t>((size - 1 - i) * size + size - 1 - k)];
  };
  run_tasks(executor, size, [&](Index i, Index) {
    const Index a = column(i);
    for (Index k = i + 1; k < size; ++k) reversed(i, k) = scale(a) * stats.gram(a, column(k)) * scale(column(k));
    const double d = diagonal[static_cast<std::size_t>(a)];
    reversed(i, i) = (d > 0.0 ? d : mean) + damping * mean;
  });
  if (!factorize_cholesky(h.data(), size, limit, executor)) {
    SINQ_THROW(Errc::kBadData,
               text("gptq: the Gram matrix of ", stats.tokens(), " tokens is not positive definite with ", "damping ",
                    damping, "; more damping or more tokens are needed"));
  }
  const auto above = [&](Index i, Index k) { return reversed(i, k) / reversed(k, k); };
  // Relative to the mean, so that floats hold it whatever the activations' units.
  const auto pivot = [&](Index k) { return reversed(k, k) * reversed(k, k) / mean; };
  out.panels = TriangularPanels(size, above, pivot, executor);
  return out;
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
