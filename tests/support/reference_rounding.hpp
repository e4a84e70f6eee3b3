#pragma once

#include "reference_statistics.hpp"
#include "rounding.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

// Part of reference.hpp: golden/FORMAT.md section 7.5.
namespace sinq::test::reference {

/// Scale and zero point of each group of each row of a tile, and the codes chosen with them.
template <class Real>
struct Rounded {
  Index group_size = 0;        ///< the last group may be narrower
  Matrix<Real> scale;          ///< [rows, groups]
  Matrix<Real> zero;           ///< [rows, groups]
  Matrix<Real> exact_zero;     ///< [rows, groups]: before it was rounded to an integer
  Matrix<Real> zero_of_codes;  ///< [rows, groups]: what the codes were rounded with; differs from zero for HQQ alone
  Matrix<Real> codes;          ///< [rows, cols]
  Matrix<Real> margin;         ///< [rows, cols]: from the value that was rounded to the nearest decision boundary
  Vector<Real> hqq_error;      ///< HQQ: mean absolute error of each iteration
  int hqq_best = -1;           ///< HQQ: the iteration whose zero was kept
  Real hqq_margin = std::numeric_limits<Real>::infinity();  ///< HQQ: least margin of any weight in any iteration

  Rounded(const Matrix<Real>& m, Index group)
      : group_size(group),
        scale(m.rows, (m.cols + group - 1) / group),
        zero(scale),
        exact_zero(scale),
        zero_of_codes(scale),
        codes(m.rows, m.cols),
        margin(m.rows, m.cols) {}

  /// Calls f(row, group, first column, end column).
  template <class F>
  void for_each_group(F&& f) const {
    for (Index r = 0; r < codes.rows; ++r) {
      for (Index g = 0; g < scale.cols; ++g) f(r, g, g * group_size, std::min((g + 1) * group_size, codes.cols));
    }
  }
};

namespace detail {

/// The code of `x` among the integers low..high, and how far x is from where the code would change.
template <class Real>
Real round_code(Real x, Real low, Real high, Real& margin) {
  const Real code = clamp(round_even(x), static_cast<double>(low), static_cast<double>(high));
  const Real inside = clamp(x, static_cast<double>(low), static_cast<double>(high));
  margin = std::abs(static_cast<Real>(0.5) - std::abs(inside - code));
  // Beyond the ends only the way back to the neighbouring code counts.
  if (x < low || x > high) margin += std::min(std::abs(x - low), std::abs(x - high));
  return code;
}

template <class Real>
struct Range {
  Real low, high;
};

template <class Real>
Range<Real> range(const Matrix<Real>& m, Index r, Index begin, Index end) {
  Range<Real> out{m(r, begin), m(r, begin)};
  for (Index c = begin; c < end; ++c) out = {std::min(out.low, m(r, c)), std::max(out.high, m(r, c))};
  return out;
}

template <class Real>
Real top_code(int bits) {
  return static_cast<Real>((1 << bits) - 1);
}

}  // namespace detail

/// Which zero points a uniform grid may have.
enum class Zero { kInteger, kReal };

template <class Real>
Rounded<Real> round_uniform(const Matrix<Real>& m, Index group_size, int bits, Zero kind) {
  Rounded<Real> out(m, group_size);
  const Real top = detail::top_code<Real>(bits);
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const auto [low, high] = detail::range(m, r, begin, end);
    const Real scale = std::max(high - low, static_cast<Real>(1e-4)) / top;
    const Real exact = -(low / scale);
    out.scale(r, g) = scale;
    out.exact_zero(r, g) = exact;
    out.zero(r, g) = kind == Zero::kInteger ? round_even(exact) : exact;
    for (Index c = begin; c < end; ++c) {
      out.codes(r, c) = detail::round_code(m(r, c) / scale + out.zero(r, g), Real{0}, top, out.margin(r, c));
    }
  });
  out.zero_of_codes = out.zero;
  return out;
}

/// The Python reference's symmetric range: 2^bits - 3 levels.
template <class Real>
Rounded<Real> round_noz(const Matrix<Real>& m, Index group_size, int bits) {
  Rounded<Real> out(m, group_size);
  const int top = (1 << bits) - 1;
  const int n = top / 2 - 1;
  const auto middle = static_cast<Real>(top / 2);
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const auto [low, high] = detail::range(m, r, begin, end);
    const Real most = std::max(std::abs(low), std::abs(high));
    out.scale(r, g) = std::max(most, static_cast<Real>(1e-5)) / static_cast<Real>(n);
    out.zero(r, g) = middle;
    for (Index c = begin; c < end; ++c) {
      const Real code = detail::round_code(m(r, c) / out.scale(r, g), static_cast<Real>(-(top + 1) / 2),
                                           static_cast<Real>(n), out.margin(r, c));
      out.codes(r, c) = code + middle;
    }
  });
  out.zero_of_codes = out.zero;
  return out;
}

/// All levels -2^(bits-1) .. 2^(bits-1) - 1, for two bits or more: the least scale under which no weight is more than
/// half a step from a level.
template <class Real>
Rounded<Real> round_symmetric(const Matrix<Real>& m, Index group_size, int bits) {
  Rounded<Real> out(m, group_size);
  const Real top = detail::top_code<Real>(bits);
  const auto half = static_cast<Real>(1 << (bits - 1));
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const auto [low, high] = detail::range(m, r, begin, end);
    out.scale(r, g) = std::max({high / (half - static_cast<Real>(0.5)), -low / (half + static_cast<Real>(0.5)),
                                static_cast<Real>(1e-5) / half});
    out.zero(r, g) = half;
    for (Index c = begin; c < end; ++c) {
      out.codes(r, c) = detail::round_code(m(r, c) / out.scale(r, g) + half, Real{0}, top, out.margin(r, c));
    }
  });
  out.zero_of_codes = out.exact_zero = out.zero;
  return out;
}

/// What a table's zero, or the middle of two levels, stands for.
enum class Center { kMean, kZero };

namespace detail {

template <class Real>
Vector<Real> group_values(const Matrix<Real>& m, Index r, Index begin, Index end) {
  Vector<Real> out;
  for (Index c = begin; c < end; ++c) out.push_back(m(r, c));
  return out;
}

template <class Real>
Real center_of(const Vector<Real>& group, Center center) {
  return center == Center::kMean ? mean(group) : Real{0};
}

}  // namespace detail

/// One bit: the center plus or minus the mean distance from it.
template <class Real>
Rounded<Real> round_two_levels(const Matrix<Real>& m, Index group_size, Center center) {
  Rounded<Real> out(m, group_size);
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const Vector<Real> group = detail::group_values(m, r, begin, end);
    const Real middle = detail::center_of(group, center);
    Vector<Real> distances;
    for (const Real x : group) distances.push_back(std::abs(x - middle));
    out.scale(r, g) = std::max(2 * mean(distances), static_cast<Real>(1e-5));
    out.zero(r, g) = static_cast<Real>(0.5) - middle / out.scale(r, g);
    for (Index c = begin; c < end; ++c) {
      out.codes(r, c) =
          detail::round_code(m(r, c) / out.scale(r, g) + out.zero(r, g), Real{0}, Real{1}, out.margin(r, c));
    }
  });
  out.zero_of_codes = out.exact_zero = out.zero;
  return out;
}

inline const std::vector<double>& nf4_levels() {
  static const std::vector<double> levels{-1.0,
                                          -0.6961928009986877,
                                          -0.5250730514526367,
                                          -0.39491748809814453,
                                          -0.28444138169288635,
                                          -0.18477343022823334,
                                          -0.09105003625154495,
                                          0.0,
                                          0.07958029955625534,
                                          0.16093020141124725,
                                          0.24611230194568634,
                                          0.33791524171829224,
                                          0.44070982933044434,
                                          0.5626170039176941,
                                          0.7229568362236023,
                                          1.0};
  return levels;
}
inline const std::vector<double>& nf3_levels() {
  static const std::vector<double> levels{
      -1.0, -0.5350227355957031, -0.2469314038753510, 0.0, 0.1833375245332718, 0.3819939494132996, 0.6229856610298157,
      1.0};
  return levels;
}

/// The index of the nearest level, ties to the lowest; and how far x is from the nearest midpoint of two levels.
template <class Real>
Real nearest_level(Real x, const std::vector<double>& levels, Real& margin) {
  std::size_t best = 0;
  margin = std::numeric_limits<Real>::infinity();
  for (std::size_t k = 0; k < levels.size(); ++k) {
    if (std::abs(x - static_cast<Real>(levels[k])) < std::abs(x - static_cast<Real>(levels[best]))) best = k;
    if (k > 0) margin = std::min(margin, std::abs(x - static_cast<Real>((levels[k - 1] + levels[k]) / 2)));
  }
  return static_cast<Real>(best);
}

inline const std::vector<double>& fp4_levels() {
  static const std::vector<double> levels{-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return levels;
}
inline const std::vector<double>& ternary_levels() {
  static const std::vector<double> levels{-1, 0, 1};
  return levels;
}

/// The center goes to 0, and `clip` times the farthest distance from it to the outermost level.
template <class Real>
Rounded<Real> round_codebook(const Matrix<Real>& m, Index group_size, const std::vector<double>& levels,
                             Center center = Center::kMean, double clip = 1.0) {
  Rounded<Real> out(m, group_size);
  const auto to_level = static_cast<Real>(clip / std::max(std::abs(levels.front()), std::abs(levels.back())));
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const Vector<Real> group = detail::group_values(m, r, begin, end);
    const Real middle = detail::center_of(group, center);
    Real most = 0;
    for (const Real x : group) most = std::max(most, std::abs(x - middle));
    out.scale(r, g) = std::max(most, static_cast<Real>(1e-4)) * to_level;
    out.zero(r, g) = -middle / out.scale(r, g);
    for (Index c = begin; c < end; ++c) {
      out.codes(r, c) = nearest_level(m(r, c) / out.scale(r, g) + out.zero(r, g), levels, out.margin(r, c));
    }
  });
  out.zero_of_codes = out.exact_zero = out.zero;
  return out;
}

namespace detail {

/// HQQ's proximal operator of the l_0.7 norm.
template <class Real>
Real shrink(Real residual) {
  const Real x = clamp(std::abs(residual), 1e-5, 1e5);
  const Real power = static_cast<Real>(std::pow(static_cast<double>(x), -0.3));
  const Real shrunk = std::max(x - static_cast<Real>(0.1) * power, Real{0});
  return residual == 0 ? Real{0} : std::copysign(shrunk, residual);
}

}  // namespace detail

/// FORMAT.md 7.5: returns the codes of the last iteration with the zero that follows the best one. One bit is ours: it
/// starts from the mean plus and minus the mean deviation, and goes back there where the zero costs squared error.
template <class Real>
Rounded<Real> round_hqq(const Matrix<Real>& m, Index group_size, int bits, int iterations = 20) {
  Rounded<Real> out(m, group_size);
  const Real top = detail::top_code<Real>(bits);
  Matrix<Real> inverse = out.scale;
  Matrix<Real> z = out.scale;
  out.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const auto [low, high] = detail::range(m, r, begin, end);
    Real s = high - low <= static_cast<Real>(1e-4) ? Real{1} : top / (high - low);
    s = std::min(s, static_cast<Real>(2e4));
    z(r, g) = -low * s;
    inverse(r, g) = clamp(s, 1e-5, 1e5);
    if (bits == 1) {
      const Vector<Real> group = detail::group_values(m, r, begin, end);
      Real distance = 0;
      for (const Real x : group) distance += std::abs(x - mean(group));
      inverse(r, g) = 1 / std::max(2 * distance / static_cast<Real>(group.size()), static_cast<Real>(1e-5));
      z(r, g) = static_cast<Real>(0.5) - mean(group) * inverse(r, g);
    }
  });
  const Matrix<Real> first_zero = z;
  out.zero = z;
  Real best = std::numeric_limits<Real>::infinity();
  for (int k = 0; k < iterations; ++k) {
    out.zero_of_codes = z;
    Vector<Real> errors;
    out.for_each_group([&](Index r, Index g, Index begin, Index end) {
      const Real s = inverse(r, g);
      Vector<Real> next;
      for (Index c = begin; c < end; ++c) {
        const Real q = detail::round_code(m(r, c) * s + z(r, g), Real{0}, top, out.margin(r, c));
        out.hqq_margin = std::min(out.hqq_margin, out.margin(r, c));
        out.codes(r, c) = q;
        const Real residual = m(r, c) - (q - z(r, g)) / s;
        errors.push_back(std::abs(residual));
        next.push_back(q - (m(r, c) - detail::shrink(residual)) * s);
      }
      z(r, g) = mean(next);
    });
    out.hqq_error.push_back(mean(errors));
    if (out.hqq_error.back() < best) {
      best = out.hqq_error.back();
      out.hqq_best = k;
      out.zero = z;
    }
  }
  if (bits == 1) {
    out.for_each_group([&](Index r, Index g, Index begin, Index end) {
      const auto error_with = [&](Real zero) {
        Real error = 0;
        for (Index c = begin; c < end; ++c) {
          const Real u = m(r, c) * inverse(r, g) + zero;
          error += std::min(u * u, (u - 1) * (u - 1));
        }
        return error;
      };
      const Real moved = error_with(out.zero(r, g)), first = error_with(first_zero(r, g));
      out.hqq_margin = std::min(out.hqq_margin, std::abs(moved - first));
      if (first <= moved) out.zero(r, g) = first_zero(r, g);
    });
  }
  for (std::size_t i = 0; i < inverse.values.size(); ++i) out.scale.values[i] = Real{1} / inverse.values[i];
  return out;
}

template <class Real>
Rounded<Real> round_tile(const Matrix<Real>& m, Index group_size, Rounding rounding, int bits) {
  switch (rounding) {
    case Rounding::kUniform:
      return round_uniform(m, group_size, bits, Zero::kInteger);
    case Rounding::kRealUniform:
      return bits == 1 ? round_two_levels(m, group_size, Center::kMean)
                       : round_uniform(m, group_size, bits, Zero::kReal);
    case Rounding::kNoz:
      return round_noz(m, group_size, bits);
    case Rounding::kSymmetric:
      return bits == 1 ? round_two_levels(m, group_size, Center::kZero) : round_symmetric(m, group_size, bits);
    case Rounding::kNf4:
      return round_codebook(m, group_size, nf4_levels());
    case Rounding::kNf3:
      return round_codebook(m, group_size, nf3_levels());
    case Rounding::kFp4:
      return round_codebook(m, group_size, fp4_levels());
    case Rounding::kTernary:
      return round_codebook(m, group_size, ternary_levels(), Center::kZero, 0.5);
    case Rounding::kHqq:
      return round_hqq(m, group_size, bits);
  }
  return {m, group_size};
}

}  // namespace sinq::test::reference
