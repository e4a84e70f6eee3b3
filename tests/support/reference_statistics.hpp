#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

// Part of reference.hpp: matrices, rounding to other formats, statistics.
namespace sinq::test::reference {

using Index = std::ptrdiff_t;

template <class Real>
using Vector = std::vector<Real>;

/// A row-major matrix [rows, cols].
template <class Real>
struct Matrix {
  Index rows = 0;
  Index cols = 0;
  Vector<Real> values;

  Matrix() = default;
  Matrix(Index r, Index c) : rows(r), cols(c), values(static_cast<std::size_t>(r * c)) {}
  template <class Other>
  Matrix(Index r, Index c, const Vector<Other>& v) : rows(r), cols(c), values(v.begin(), v.end()) {}

  Real& operator()(Index r, Index c) { return values.at(static_cast<std::size_t>(r * cols + c)); }
  Real operator()(Index r, Index c) const { return values.at(static_cast<std::size_t>(r * cols + c)); }
  [[nodiscard]] Vector<Real> row(Index r) const {
    Vector<Real> out;
    for (Index c = 0; c < cols; ++c) out.push_back((*this)(r, c));
    return out;
  }
  [[nodiscard]] Vector<Real> col(Index c) const {
    Vector<Real> out;
    for (Index r = 0; r < rows; ++r) out.push_back((*this)(r, c));
    return out;
  }
  [[nodiscard]] Matrix block(Index r0, Index c0, Index height, Index width) const {
    Matrix out(height, width);
    for (Index r = 0; r < height; ++r) {
      for (Index c = 0; c < width; ++c) out(r, c) = (*this)(r0 + r, c0 + c);
    }
    return out;
  }
};

/// Half to even (the rounding mode every program starts with).
template <class Real>
Real round_even(Real x) {
  return std::nearbyint(x);
}

template <class Real>
Real clamp(Real x, double low, double high) {
  if (std::isnan(x)) return x;
  return std::min(std::max(x, static_cast<Real>(low)), static_cast<Real>(high));
}

/// `x` rounded to a binary format with `significand` bits (the hidden one included), least normal exponent
/// `min_exponent` and values below 2^(max_exponent + 1).
inline double round_to_format(double x, int significand, int min_exponent, int max_exponent) {
  if (x == 0.0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), min_exponent);
  const double quantum = std::ldexp(1.0, exponent - significand + 1);
  const double rounded = std::nearbyint(x / quantum) * quantum;
  if (std::abs(rounded) >= std::ldexp(1.0, max_exponent + 1)) {
    return std::copysign(std::numeric_limits<double>::infinity(), x);
  }
  return rounded;
}
inline double to_half(double x) { return round_to_format(x, 11, -14, 15); }
inline double to_bfloat16(double x) { return round_to_format(x, 8, -126, 127); }

template <class Real>
Real mean(const Vector<Real>& v) {
  double sum = 0.0;
  for (const Real x : v) sum += static_cast<double>(x);
  return static_cast<Real>(sum / static_cast<double>(v.size()));
}

/// Unbiased standard deviation, two passes in double. NaN for fewer than two values.
template <class Real>
Real standard_deviation(const Vector<Real>& v) {
  if (v.size() < 2) return std::numeric_limits<Real>::quiet_NaN();
  double sum = 0.0;
  for (const Real x : v) sum += static_cast<double>(x);
  const double center = sum / static_cast<double>(v.size());
  double squares = 0.0;
  for (const Real x : v) squares += (static_cast<double>(x) - center) * (static_cast<double>(x) - center);
  return static_cast<Real>(std::sqrt(squares / static_cast<double>(v.size() - 1)));
}

template <class Real>
struct Spread {
  Vector<Real> row;  ///< standard deviation of each row
  Vector<Real> col;  ///< of each column
};

template <class Real>
Spread<Real> spread(const Matrix<Real>& m) {
  Spread<Real> s;
  for (Index r = 0; r < m.rows; ++r) s.row.push_back(standard_deviation(m.row(r)));
  for (Index c = 0; c < m.cols; ++c) s.col.push_back(standard_deviation(m.col(c)));
  return s;
}

/// max / min of all row and column standard deviations; NaN if one of them is.
template <class Real>
Real imbalance(const Spread<Real>& s) {
  Real low = std::numeric_limits<Real>::infinity();
  Real high = 0;
  for (const auto* part : {&s.row, &s.col}) {
    for (const Real x : *part) {
      if (std::isnan(x)) return x;
      low = std::min(low, x);
      high = std::max(high, x);
    }
  }
  return high / std::max(low, static_cast<Real>(1e-12));
}
template <class Real>
Real imbalance(const Matrix<Real>& m) {
  return imbalance(spread(m));
}

/// Kurtosis (not excess) of all weights, with the variance clamped from below.
template <class Real>
Real kurtosis(const Matrix<Real>& w) {
  const Real center = mean(w.values);
  Vector<Real> squares;
  Vector<Real> fourths;
  for (const Real x : w.values) {
    const Real d = x - center;
    squares.push_back(d * d);
    fourths.push_back((d * d) * (d * d));
  }
  const Real variance = std::max(mean(squares), static_cast<Real>(1e-6));
  return mean(fourths) / (variance * variance);
}

}  // namespace sinq::test::reference
