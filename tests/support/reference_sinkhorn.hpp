#pragma once

#include "reference_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

// Part of reference.hpp: golden/FORMAT.md section 7.2.
namespace sinq::test::reference {

template <class Real>
struct SinkhornTrace {
  Vector<Real> mu1;        ///< column factors of the iterate kept
  Vector<Real> mu2;        ///< row factors
  Vector<Real> imbalance;  ///< at the top of each iteration
  int best_k = -1;         ///< iteration kept, -1 if none qualified
  Real best_imbalance = 0;
  Real decision_margin = std::numeric_limits<Real>::infinity();  ///< least |imbalance - best| / best of all decisions
  Matrix<Real> scaled;                                           ///< (m / mu1) / mu2
};

template <class Real>
Matrix<Real> scale_down(const Matrix<Real>& m, const Vector<Real>& mu1, const Vector<Real>& mu2) {
  Matrix<Real> out(m.rows, m.cols);
  for (Index r = 0; r < m.rows; ++r) {
    for (Index c = 0; c < m.cols; ++c) {
      out(r, c) = (m(r, c) / mu1[static_cast<std::size_t>(c)]) / mu2[static_cast<std::size_t>(r)];
    }
  }
  return out;
}

struct SinkhornLimits {
  double min_std = 1e-3;
  double max_std = 1e3;
};

namespace detail {

template <class Real>
Vector<Real> exponentials(const Vector<Real>& logs) {
  Vector<Real> out;
  for (const Real l : logs) out.push_back(static_cast<Real>(std::exp(static_cast<double>(l))));
  return out;
}

template <class Real>
void update(Vector<Real>& logs, const Vector<Real>& std, Real target, SinkhornLimits limits) {
  for (std::size_t i = 0; i < logs.size(); ++i) {
    const Real step = clamp(clamp(std[i], limits.min_std, limits.max_std) / target, 0.7, 2.0);
    logs[i] = clamp(logs[i] + static_cast<Real>(std::log(static_cast<double>(step))), -0.3, 10.0);
  }
}

template <class Real>
Real least(const Vector<Real>& v, SinkhornLimits limits) {
  Real low = std::numeric_limits<Real>::infinity();
  for (const Real x : v) {
    if (std::isnan(x)) return x;
    low = std::min(low, clamp(x, limits.min_std, limits.max_std));
  }
  return low;
}

}  // namespace detail

/// FORMAT.md 7.2, without stopping early.
template <class Real>
SinkhornTrace<Real> sinkhorn(const Matrix<Real>& m, int iterations = 16, SinkhornLimits limits = {}) {
  SinkhornTrace<Real> t;
  t.mu1.assign(static_cast<std::size_t>(m.cols), Real{1});
  t.mu2.assign(static_cast<std::size_t>(m.rows), Real{1});
  Vector<Real> l1(t.mu1.size(), Real{0});
  Vector<Real> l2(t.mu2.size(), Real{0});
  const Spread<Real> before = spread(m);
  const Real row_least = detail::least(before.row, limits);
  const Real col_least = detail::least(before.col, limits);
  const Real target = (std::isnan(row_least) || std::isnan(col_least) ? std::numeric_limits<Real>::quiet_NaN()
                                                                      : std::min(row_least, col_least)) +
                      static_cast<Real>(1e-6);
  Real best = imbalance(before);
  bool stopped = false;
  for (int k = 0; k < iterations; ++k) {
    const Vector<Real> mu1 = detail::exponentials(l1);
    const Vector<Real> mu2 = detail::exponentials(l2);
    const Spread<Real> s = spread(scale_down(m, mu1, mu2));
    const Real now = imbalance(s);
    t.imbalance.push_back(now);
    if (k > 0 && !stopped) t.decision_margin = std::min(t.decision_margin, std::abs(now - best) / best);
    if (now > best) stopped = true;
    if (now <= best) {
      t.mu1 = mu1;
      t.mu2 = mu2;
      t.best_k = k;
      best = now;
    }
    if (!stopped) {
      detail::update(l1, s.col, target, limits);
      detail::update(l2, s.row, target, limits);
    }
  }
  t.best_imbalance = best;
  t.scaled = scale_down(m, t.mu1, t.mu2);
  return t;
}

}  // namespace sinq::test::reference
