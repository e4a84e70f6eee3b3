#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sinq::test {

/// Random numbers that are the same on every platform (the distributions of <random> are not).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  /// splitmix64.
  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// In [low, high].
  std::ptrdiff_t between(std::ptrdiff_t low, std::ptrdiff_t high) {
    return low + static_cast<std::ptrdiff_t>(bits() % static_cast<std::uint64_t>(high - low + 1));
  }
  template <class T, std::size_t N>
  T one_of(const T (&values)[N]) {
    return values[bits() % N];
  }
  /// Mean 0, variance 1 (Box-Muller).
  double gaussian() {
    const double u = 1.0 - uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * uniform());
  }
  /// Five degrees of freedom: heavy tails, kurtosis 9.
  double student_t() {
    const double z = gaussian();
    double chi = 0.0;
    for (int i = 0; i < 5; ++i) {
      const double x = gaussian();
      chi += x * x;
    }
    return z / std::sqrt(chi / 5.0);
  }

 private:
  std::uint64_t state_;
};

/// A row-major matrix of float.
struct TestMatrix {
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t cols = 0;
  std::vector<float> values;

  TestMatrix(std::ptrdiff_t r, std::ptrdiff_t c) : rows(r), cols(c), values(static_cast<std::size_t>(r * c)) {}
  float& operator()(std::ptrdiff_t r, std::ptrdiff_t c) { return values.at(static_cast<std::size_t>(r * cols + c)); }
  float operator()(std::ptrdiff_t r, std::ptrdiff_t c) const {
    return values.at(static_cast<std::size_t>(r * cols + c));
  }
  [[nodiscard]] TestMatrix times(double factor) const {
    TestMatrix out = *this;
    for (float& x : out.values) x = static_cast<float>(static_cast<double>(x) * factor);
    return out;
  }
};

namespace generators {

/// Weights of a typical layer: standard deviation 0.02.
inline constexpr double kTypical = 0.02;

inline TestMatrix gaussian(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  Random random(seed);
  TestMatrix w(rows, cols);
  for (float& x : w.values) x = static_cast<float>(kTypical * random.gaussian());
  return w;
}

inline TestMatrix student_t(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  Random random(seed);
  TestMatrix w(rows, cols);
  for (float& x : w.values) x = static_cast<float>(kTypical * random.student_t());
  return w;
}

/// Gaussian with lognormal row and column factors: what Sinkhorn is for.
inline TestMatrix mixed_scales(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  Random random(seed ^ 0x5ca1e5U);
  std::vector<double> row(static_cast<std::size_t>(rows));
  std::vector<double> col(static_cast<std::size_t>(cols));
  for (double& x : row) x = std::exp(0.3 * random.gaussian());
  for (double& x : col) x = std::exp(0.3 * random.gaussian());
  for (std::ptrdiff_t r = 0; r < rows; ++r) {
    for (std::ptrdiff_t c = 0; c < cols; ++c) {
      w(r, c) = static_cast<float>(static_cast<double>(w(r, c)) * row[static_cast<std::size_t>(r)] *
                                   col[static_cast<std::size_t>(c)]);
    }
  }
  return w;
}

inline TestMatrix outlier_row(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  for (std::ptrdiff_t c = 0; c < cols; ++c) w(rows / 2, c) *= 30.0F;
  return w;
}

inline TestMatrix outlier_column(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  for (std::ptrdiff_t r = 0; r < rows; ++r) w(r, cols / 3) *= 30.0F;
  return w;
}

inline TestMatrix constant(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t) {
  TestMatrix w(rows, cols);
  for (float& x : w.values) x = 0.3F;
  return w;
}

inline TestMatrix all_zero(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t) { return {rows, cols}; }

/// A spike of 5000 standard deviations.
inline TestMatrix one_spike(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  w(rows - 1, cols / 2) = 100.0F;
  return w;
}

/// A spike of 50 standard deviations.
inline TestMatrix small_spike(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  w(rows / 2, cols / 3) = 1.0F;
  return w;
}

/// Zero but for one weight.
inline TestMatrix lone_spike(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t) {
  TestMatrix w(rows, cols);
  w(rows / 2, cols - 1) = -3.0F;
  return w;
}

inline TestMatrix tiny(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  return gaussian(rows, cols, seed).times(1e-30 / kTypical);
}

inline TestMatrix huge(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  return gaussian(rows, cols, seed).times(1e30 / kTypical);
}

/// Below the least normal float: 1e-40.
inline TestMatrix subnormal(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  return gaussian(rows, cols, seed).times(1e-40 / kTypical);
}

inline TestMatrix ramp(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t) {
  TestMatrix w(rows, cols);
  for (std::size_t i = 0; i < w.values.size(); ++i) w.values[i] = 0.001F * static_cast<float>(i);
  return w;
}

/// 100 + noise of standard deviation 1.
inline TestMatrix offset(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed).times(1.0 / kTypical);
  for (float& x : w.values) x += 100.0F;
  return w;
}

inline TestMatrix constant_column(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  for (std::ptrdiff_t r = 0; r < rows; ++r) w(r, cols / 2) = 0.05F;
  return w;
}

inline TestMatrix constant_row(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  for (std::ptrdiff_t c = 0; c < cols; ++c) w(rows / 2, c) = 0.05F;
  return w;
}

inline TestMatrix zero_row_and_column(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  for (std::ptrdiff_t c = 0; c < cols; ++c) w(rows / 2, c) = 0.0F;
  for (std::ptrdiff_t r = 0; r < rows; ++r) w(r, cols / 2) = 0.0F;
  return w;
}

/// Only -0.02 and 0.02.
inline TestMatrix two_valued(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  Random random(seed);
  TestMatrix w(rows, cols);
  for (float& x : w.values) x = (random.bits() & 1U) != 0 ? 0.02F : -0.02F;
  return w;
}

inline TestMatrix not_a_number(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  w(rows - 1, cols - 1) = std::numeric_limits<float>::quiet_NaN();
  return w;
}

inline TestMatrix infinite(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  TestMatrix w = gaussian(rows, cols, seed);
  w(0, cols - 1) = -std::numeric_limits<float>::infinity();
  return w;
}

}  // namespace generators

/// A generator and what it is called, so that a test can say which input failed.
struct Generator {
  const char* name;
  TestMatrix (*make)(std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed);
};

/// Matrices that a quantizer meets in practice.
inline const std::vector<Generator>& ordinary_generators() {
  static const std::vector<Generator> all{
      {"gaussian", generators::gaussian},
      {"student_t", generators::student_t},
      {"mixed_scales", generators::mixed_scales},
      {"outlier_row", generators::outlier_row},
      {"outlier_column", generators::outlier_column},
  };
  return all;
}

/// Matrices that must give finite results with an error near RTN's.
inline const std::vector<Generator>& degenerate_generators() {
  static const std::vector<Generator> all{
      {"constant", generators::constant},
      {"all_zero", generators::all_zero},
      {"one_spike", generators::one_spike},
      {"small_spike", generators::small_spike},
      {"lone_spike", generators::lone_spike},
      {"tiny", generators::tiny},
      {"huge", generators::huge},
      {"ramp", generators::ramp},
      {"offset", generators::offset},
      {"constant_column", generators::constant_column},
      {"constant_row", generators::constant_row},
      {"zero_row_and_column", generators::zero_row_and_column},
  };
  return all;
}

/// Matrices that must give finite results, and no more than that: round-to-nearest is exact on two values, and weights
/// below the least normal float are beyond what f16 aux and one power of two can reach at 8 bits.
inline const std::vector<Generator>& awkward_generators() {
  static const std::vector<Generator> all{
      {"subnormal", generators::subnormal},
      {"two_valued", generators::two_valued},
  };
  return all;
}

/// Matrices that must be refused.
inline const std::vector<Generator>& refused_generators() {
  static const std::vector<Generator> all{
      {"nan", generators::not_a_number},
      {"inf", generators::infinite},
  };
  return all;
}

/// The matrix of a generator by name. Throws std::invalid_argument.
inline TestMatrix generate(std::string_view name, std::ptrdiff_t rows, std::ptrdiff_t cols, std::uint64_t seed) {
  for (const auto* list :
       {&ordinary_generators(), &degenerate_generators(), &awkward_generators(), &refused_generators()}) {
    for (const Generator& g : *list) {
      if (g.name == name) return g.make(rows, cols, seed);
    }
  }
  throw std::invalid_argument("no generator is called " + std::string(name));
}

}  // namespace sinq::test
