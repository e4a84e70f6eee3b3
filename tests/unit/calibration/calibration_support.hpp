#pragma once

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/dequantize.hpp>

#include "support/generators.hpp"
#include "support/matrix_view.hpp"

#include <cmath>
#include <vector>

namespace sinq::test {

/// Activations whose channels differ in size (lognormal with deviation `spread`) and depend on their neighbours.
inline TestMatrix activations(Index tokens, Index cols, std::uint64_t seed, double spread = 1.0) {
  Random random(seed);
  std::vector<double> size(static_cast<std::size_t>(cols));
  for (double& x : size) x = std::exp(spread * random.gaussian());
  TestMatrix out(tokens, cols);
  for (Index t = 0; t < tokens; ++t) {
    double previous = 0.0;
    for (Index c = 0; c < cols; ++c) {
      previous = 0.7 * previous + 0.7 * random.gaussian();
      out(t, c) = static_cast<float>(size[static_cast<std::size_t>(c)] * previous);
    }
  }
  return out;
}

inline ActivationStats stats_of(const TestMatrix& x, StatsKind kind = StatsKind::kGram) {
  ActivationStats stats(x.cols, kind);
  stats.add(view(x));
  return stats;
}

/// Mean square of the outputs' error, output by output.
inline double output_error(const TestMatrix& w, const QuantizedView& q, const TestMatrix& x) {
  std::vector<float> decoded(w.values.size());
  dequantize_into(q, decoded);
  double sum = 0.0;
  for (Index t = 0; t < x.rows; ++t) {
    for (Index r = 0; r < w.rows; ++r) {
      double y = 0.0;
      for (Index c = 0; c < w.cols; ++c) {
        const auto at = static_cast<std::size_t>(r * w.cols + c);
        y += static_cast<double>(x(t, c)) * (static_cast<double>(w.values[at]) - static_cast<double>(decoded[at]));
      }
      sum += y * y;
    }
  }
  return sum / static_cast<double>(x.rows * w.rows);
}

}  // namespace sinq::test
