#pragma once

#include <sinq/calibration/cholesky.hpp>
#include <sinq/calibration/error_feedback.hpp>
#include <sinq/calibration/triangular_panels.hpp>
#include <sinq/detail/vector.hpp>

#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// Which group scales suit codes that stand. The loss e H e^T of a row's errors e, as its scales change by d, is one
/// least-squares problem, d A d^T - 2 c d and a constant, with A_gh = v_g H v_h^T and c_g = v_g H e^T: v_g are the
/// multiples of scale g that its columns stand for. For kFeedRows rows at a time, side by side.
class ScaleSystem {
 public:
  /// H [cols, cols], in the order of the columns.
  ScaleSystem(const TriangularPanels& hessian, Index group_size)
      : hessian_(hessian), group_size_(group_size), groups_(ceil_div(hessian.size(), group_size)) {}

  [[nodiscard]] Index groups() const noexcept { return groups_; }

  /// From errors and multiples v of all columns [cols padded to kFeedCols][kFeedRows].
  void assemble(const float* errors, const float* multiples, Isa limit) {
    a_.assign(static_cast<std::size_t>(groups_ * (groups_ + 1) / 2 * kFeedRows), 0.0F);
    c_.assign(static_cast<std::size_t>(groups_ * kFeedRows), 0.0F);
    for (Index p = 0; p < hessian_.count(); ++p) {
      const Index first = p * kFeedCols, own = first / group_size_;
      const float* e = errors + first * kFeedRows;
      const float* v = multiples + first * kFeedRows;
      // Panels hold what stands above the diagonal: of two columns, the later one sees the earlier, on either side.
      Products products = multiply(p, errors, {0, first + kFeedCols}, limit);
      products.add(hessian_.diagonal() + first, 1.0F, e);
      products.dot(v, c(own));
      for (Index g = 0; g <= own; ++g) {
        products = multiply(p, multiples, {g * group_size_, std::min((g + 1) * group_size_, first + kFeedCols)}, limit);
        products.dot(e, c(g));
        if (g == own) products.add(hessian_.diagonal() + first, 0.5F, v);
        products.dot(v, a(own, g));
      }
    }
    for (Index g = 0; g < groups_; ++g) {
      for (Index r = 0; r < kFeedRows; ++r) a(g, g)[r] *= 2.0F;  // each pair has been seen once
    }
  }

  /// The new scales of row r: `nearest(g, x)` is the value next to x that can be stored, `scales` [groups] the stored
  /// ones, which become the new ones. Groups whose value is found take the rounding of those before them into account.
  /// False, and nothing happens, if that would not lower the loss.
  template <class Nearest>
  bool solve(Index r, std::span<double> scales, const Nearest& nearest) {
    const Index n = groups_;
    l_.resize(static_cast<std::size_t>(n * n));
    y_.resize(static_cast<std::size_t>(n));
    const auto l = [&](Index i, Index k) -> double& { return l_[static_cast<std::size_t>(i * n + k)]; };
    const auto y = [&](Index i) -> double& { return y_[static_cast<std::size_t>(i)]; };
    const auto a_of = [&](Index i, Index k) { return static_cast<double>(a(std::max(i, k), std::min(i, k))[r]); };
    const auto c_of = [&](Index i) { return static_cast<double>(c(i)[r]); };
    for (Index i = 0; i < n; ++i) {
      for (Index k = 0; k < i; ++k) l(i, k) = a_of(i, k);
      // A group of zeros has no say. The hair keeps groups apart that rounding has made one.
      l(i, i) = a_of(i, i) > 0.0 ? a_of(i, i) * (1.0 + 1e-6) : 1.0;
    }
    if (!factorize_block(l_.data(), n, n)) return false;
    for (Index i = 0; i < n; ++i) {
      double sum = c_of(i);
      for (Index k = 0; k < i; ++k) sum -= l(i, k) * y(k);
      y(i) = sum / l(i, i);
    }
    // Back substitution: y becomes the change of each scale.
    for (Index i = n - 1; i >= 0; --i) {
      double sum = y(i);
      for (Index k = i + 1; k < n; ++k) sum -= l(k, i) * y(k);
      const double old = scales[static_cast<std::size_t>(i)];
      y(i) = a_of(i, i) > 0.0 ? nearest(i, old + sum / l(i, i)) - old : 0.0;
    }
    double loss = 0.0;
    for (Index i = 0; i < n; ++i) {
      double sum = a_of(i, i) * y(i);
      for (Index k = 0; k < i; ++k) sum += 2.0 * a_of(i, k) * y(k);
      loss += y(i) * (sum - 2.0 * c_of(i));
    }
    if (!(loss < 0.0)) return false;
    for (Index i = 0; i < n; ++i) scales[static_cast<std::size_t>(i)] += y(i);
    return true;
  }

 private:
  /// Of kFeedCols columns of H with some rows.
  struct Products {
    float values[kFeedCols][kFeedRows] = {};

    void add(const float* factor, float by, const float* x) noexcept {
      for (Index j = 0; j < kFeedCols; ++j) {
        for (Index r = 0; r < kFeedRows; ++r) values[j][r] += by * factor[j] * x[j * kFeedRows + r];
      }
    }
    /// Adds the products' products with x, row by row.
    void dot(const float* x, float* out) const noexcept {
      for (Index j = 0; j < kFeedCols; ++j) {
        for (Index r = 0; r < kFeedRows; ++r) out[r] += values[j][r] * x[j * kFeedRows + r];
      }
    }
  };

  [[nodiscard]] Products multiply(Index panel, const float* x, ColRange columns, Isa limit) const {
    Products out;
    dispatch(limit, [&](auto tag) {
      ErrorFeedback<decltype(tag)>::feed_back(x + columns.begin * kFeedRows, columns.size(),
                                              hessian_.panel(panel) + columns.begin * kFeedCols, out.values[0]);
    });
    return out;
  }

  [[nodiscard]] float* a(Index g, Index h) noexcept { return a_.data() + (g * (g + 1) / 2 + h) * kFeedRows; }
  [[nodiscard]] float* c(Index g) noexcept { return c_.data() + g * kFeedRows; }

  const TriangularPanels& hessian_;
  Index group_size_, groups_;
  Vector<float> a_, c_;   ///< [groups * (groups + 1) / 2][kFeedRows], [groups][kFeedRows]
  Vector<double> l_, y_;  ///< of one row
};

}  // namespace sinq::inline SINQ_ABI::detail
