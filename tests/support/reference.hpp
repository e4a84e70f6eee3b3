#pragma once

#include "reference_rounding.hpp"
#include "reference_sinkhorn.hpp"
#include "reference_statistics.hpp"
#include "rounding.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

/// Every stage of the method, slow and obvious, written from golden/FORMAT.md section 7 and, where the library does
/// otherwise, from include/sinq/README.md. Shares no code with the library.
///
/// `Real` is the type of each single operation. `double` is the truth that fast paths are measured against; `float`
/// repeats the arithmetic of the Python reference, whose codes it must hit exactly. Sums are taken in double either
/// way, as the Python reference does. Build without FP contraction.
namespace sinq::test::reference {

struct Spec {
  Rounding rounding = Rounding::kUniform;
  int bits = 4;
  Index group_size = 64;
  Index tile_cols = 0;  ///< 0 = group_size
  bool sinkhorn = true;
  bool square = false;
  bool half_meta = false;    ///< input, scales and zeros rounded to float16
  bool relative = false;     ///< thresholds in units of a power of two near each tile's rms
  bool halve = true;         ///< FORMAT.md 4.1; else the last group and the last tiles are smaller
  double gate = 5.0;         ///< kurtosis above which plain uniform rounding runs instead; 0 = no gate
  std::vector<float> awq{};  ///< [cols] column factor, or empty
};

/// FORMAT.md 4.1: halved while it does not divide the columns.
inline Index shrunk_tile(Index group_size, Index cols) {
  while (group_size >= 16 && cols % group_size != 0) group_size /= 2;
  return group_size;
}

template <class Real>
struct Quantized {
  Index rows = 0;
  Index cols = 0;
  Index group_size = 0;  ///< used
  Index row_block = 0;   ///< rows of a tile
  bool gated = false;
  Real kurtosis = 0;
  Rounding rounding = Rounding::kUniform;   ///< that ran
  Matrix<Real> codes;                       ///< [rows, cols]
  Matrix<Real> margin;                      ///< [rows, cols]
  Matrix<Real> s1;                          ///< [rows, groups]: scale * mu2
  Matrix<Real> zero;                        ///< [rows, groups]
  Matrix<Real> zero_of_codes;               ///< [rows, groups]
  Matrix<Real> mu2;                         ///< [rows, groups]
  Matrix<Real> mu1;                         ///< [row blocks, cols], before AWQ
  Matrix<Real> s2;                          ///< [row blocks, cols]
  std::vector<SinkhornTrace<Real>> traces;  ///< per tile, row-major
  std::vector<Rounded<Real>> rounded;       ///< per tile
};

/// The power of two below the root mean square; 1 if all values are zero. Of the median row that is not zero, where
/// more than half of the rows have less than a 64th of the mean square.
template <class Real>
Real power_of_two_below_rms(const Matrix<Real>& m) {
  std::vector<double> rows(static_cast<std::size_t>(m.rows), 0.0);
  double all = 0.0;
  for (Index r = 0; r < m.rows; ++r) {
    for (Index c = 0; c < m.cols; ++c) {
      rows[static_cast<std::size_t>(r)] += static_cast<double>(m(r, c)) * static_cast<double>(m(r, c));
    }
    all += rows[static_cast<std::size_t>(r)];
  }
  if (all == 0.0) return Real{1};
  double typical = all / static_cast<double>(m.rows);
  std::sort(rows.begin(), rows.end());
  const auto far = std::lower_bound(rows.begin(), rows.end(), typical / 64.0) - rows.begin();
  if (2 * far > m.rows) {
    const auto zeros = std::upper_bound(rows.begin(), rows.end(), 0.0) - rows.begin();
    typical = std::min(typical, rows[static_cast<std::size_t>(zeros + (m.rows - zeros) / 2)]);
  }
  return static_cast<Real>(std::exp2(std::floor(std::log2(std::sqrt(typical / static_cast<double>(m.cols))))));
}

namespace detail {

template <class Real>
void apply_awq(Matrix<Real>& m, Index first_col, const std::vector<float>& awq) {
  for (Index r = 0; r < m.rows; ++r) {
    for (Index c = 0; c < m.cols; ++c) m(r, c) *= static_cast<Real>(awq[static_cast<std::size_t>(first_col + c)]);
  }
}

template <class Real>
void half_values(Vector<Real>& v) {
  for (Real& x : v) x = static_cast<Real>(to_half(static_cast<double>(x)));
}

/// Puts the tile at (r0, c0) where it belongs; `unit` is what its weights were divided by.
template <class Real>
void place_tile(Quantized<Real>& q, Index r0, Index c0, const Spec& spec, Real unit) {
  const SinkhornTrace<Real>& trace = q.traces.back();
  const Rounded<Real>& tile = q.rounded.back();
  for (Index c = 0; c < tile.codes.cols; ++c) {
    const Real mu1 = trace.mu1[static_cast<std::size_t>(c)];
    const bool awq = !spec.awq.empty() && !q.gated;
    q.mu1(r0 / q.row_block, c0 + c) = mu1;
    q.s2(r0 / q.row_block, c0 + c) = awq ? mu1 / static_cast<Real>(spec.awq[static_cast<std::size_t>(c0 + c)]) : mu1;
  }
  tile.for_each_group([&](Index r, Index g, Index begin, Index end) {
    const Index group = c0 / q.group_size + g;
    const Real mu2 = trace.mu2[static_cast<std::size_t>(r)];
    q.s1(r0 + r, group) = tile.scale(r, g) * mu2 * unit;
    q.zero(r0 + r, group) = tile.zero(r, g);
    q.zero_of_codes(r0 + r, group) = tile.zero_of_codes(r, g);
    q.mu2(r0 + r, group) = mu2;
    for (Index c = begin; c < end; ++c) {
      q.codes(r0 + r, c0 + c) = tile.codes(r, c);
      q.margin(r0 + r, c0 + c) = tile.margin(r, c);
    }
  });
}

}  // namespace detail

/// The whole method.
template <class Real>
Quantized<Real> quantize(Matrix<Real> w, const Spec& spec) {
  if (spec.half_meta) detail::half_values(w.values);
  Quantized<Real> q;
  q.rows = w.rows;
  q.cols = w.cols;
  q.group_size = spec.halve && !spec.square ? shrunk_tile(spec.group_size, w.cols) : spec.group_size;
  const Index tile_cols = spec.tile_cols == 0 ? q.group_size : spec.tile_cols;
  q.row_block = spec.square ? std::min(tile_cols, w.rows) : w.rows;
  q.kurtosis = kurtosis(w);
  q.gated = spec.sinkhorn && spec.gate > 0 && q.kurtosis > static_cast<Real>(spec.gate);
  q.rounding = q.gated ? Rounding::kUniform : spec.rounding;
  const Index groups = (w.cols + q.group_size - 1) / q.group_size;
  q.codes = q.margin = Matrix<Real>(w.rows, w.cols);
  q.s1 = q.zero = q.zero_of_codes = q.mu2 = Matrix<Real>(w.rows, groups);
  q.mu1 = q.s2 = Matrix<Real>((w.rows + q.row_block - 1) / q.row_block, w.cols);
  for (Index r0 = 0; r0 < w.rows; r0 += q.row_block) {
    for (Index c0 = 0; c0 < w.cols; c0 += tile_cols) {
      Matrix<Real> tile = w.block(r0, c0, std::min(q.row_block, w.rows - r0), std::min(tile_cols, w.cols - c0));
      const Real unit = spec.relative ? power_of_two_below_rms(tile) : Real{1};
      for (Real& x : tile.values) x /= unit;
      q.traces.push_back(sinkhorn(tile, spec.sinkhorn && !q.gated ? 16 : 0));
      Matrix<Real> m = q.traces.back().scaled;
      if (!spec.awq.empty() && !q.gated) detail::apply_awq(m, c0, spec.awq);
      q.rounded.push_back(round_tile(m, q.group_size, q.rounding, spec.bits));
      detail::place_tile(q, r0, c0, spec, unit);
    }
  }
  if (spec.half_meta) {
    for (auto* v : {&q.s1.values, &q.zero.values, &q.s2.values}) detail::half_values(*v);
  }
  return q;
}

/// The values of the codes of a table, or null where a code is its own level.
inline const std::vector<double>* levels_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::kNf4:
      return &nf4_levels();
    case Rounding::kNf3:
      return &nf3_levels();
    case Rounding::kFp4:
      return &fp4_levels();
    case Rounding::kTernary:
      return &ternary_levels();
    default:
      return nullptr;
  }
}
inline double level(Rounding rounding, double code) {
  const auto* levels = levels_of(rounding);
  return levels == nullptr ? code : levels->at(static_cast<std::size_t>(code));
}

/// ((level - zero) * s1) * s2, in that order.
template <class Real>
Matrix<Real> dequantize(const Quantized<Real>& q) {
  Matrix<Real> out(q.rows, q.cols);
  for (Index r = 0; r < q.rows; ++r) {
    for (Index c = 0; c < q.cols; ++c) {
      const Real value = static_cast<Real>(level(q.rounding, static_cast<double>(q.codes(r, c))));
      const Index g = c / q.group_size;
      out(r, c) = ((value - q.zero(r, g)) * q.s1(r, g)) * q.s2(r / q.row_block, c);
    }
  }
  return out;
}

/// ||approximation - w||_F / ||w||_F, NaN for w = 0.
template <class A, class B>
double relative_frobenius(const Vector<A>& w, const Vector<B>& approximation) {
  double error = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double d = static_cast<double>(approximation[i]) - static_cast<double>(w[i]);
    error += d * d;
    norm += static_cast<double>(w[i]) * static_cast<double>(w[i]);
  }
  return std::sqrt(error / norm);
}

/// FORMAT.md section 6: `values` viewed as [rows, values.size() / rows], each column under one (step, minimum).
template <class Real>
struct EightBit {
  std::vector<std::uint8_t> codes;  ///< as `values`
  Vector<Real> step;                ///< [values.size() / rows]
  Vector<Real> minimum;
  Vector<Real> decoded;
};

template <class Real>
EightBit<Real> eight_bit(const Vector<Real>& values, Index rows) {
  const Index cols = static_cast<Index>(values.size()) / rows;
  const Matrix<Real> v(rows, cols, values);
  EightBit<Real> out;
  out.codes.resize(values.size());
  out.decoded.resize(values.size());
  for (Index c = 0; c < cols; ++c) {
    const Vector<Real> col = v.col(c);
    const Real low = *std::min_element(col.begin(), col.end());
    Real most = 0;
    for (const Real x : col) most = std::max(most, x - low);
    const Real step = most / Real{255};
    out.step.push_back(step);
    out.minimum.push_back(low);
    for (Index r = 0; r < rows; ++r) {
      const auto i = static_cast<std::size_t>(r * cols + c);
      // A constant column: 0 / 0, whose cast the reference's machine makes 0.
      const Real code = step == 0 ? Real{0} : clamp(round_even((v(r, c) - low) / step), 0.0, 255.0);
      out.codes[i] = static_cast<std::uint8_t>(code);
      out.decoded[i] = code * step + low;
    }
  }
  return out;
}

}  // namespace sinq::test::reference
