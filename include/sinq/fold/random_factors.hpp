#pragma once

#include <sinq/finite.hpp>
#include <sinq/fold/scales.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>

namespace sinq::inline SINQ_ABI::fold {

/// Which factors `random_factors` draws.
struct RandomFactorOptions {
  std::uint64_t seed = 0;
  double deviation = 0.7;  ///< of the factors' natural logarithms
  double outlier = 8.0;    ///< by which the factor of one channel in a hundred is multiplied
  FactorRounding rounding = FactorRounding::kNone;
  EdgeChoice edges{};

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (!is_not_negative(deviation) || deviation > 4.0) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: deviation ", deviation, " is not in 0..4"));
    }
    if (!is_finite(outlier) || outlier < 1.0 || outlier > 1024.0) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: outlier ", outlier, " is not in 1..1024"));
    }
  }
};

namespace detail {

/// Normal numbers, the same ones on every platform: splitmix64 (Steele, Lea and Flood, 2014), then Box and Muller.
class NormalNumbers {
 public:
  explicit NormalNumbers(std::uint64_t seed) noexcept : state_(seed) {}

  /// In [0, 1).
  [[nodiscard]] double uniform() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  [[nodiscard]] double normal() noexcept {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

/// What one channel's producers are multiplied by.
[[nodiscard]] inline double random_factor(NormalNumbers& random, const RandomFactorOptions& options) noexcept {
  constexpr double kOutliers = 0.01;
  const double t = std::exp(-options.deviation * random.normal());
  return random.uniform() < kOutliers ? t / options.outlier : t;
}

}  // namespace detail

/// The opposite of `find_factors`: a random factor of every channel moves from its producers, which are divided by it,
/// into the columns of its consumers. The model computes the same and is harder to quantize: its columns differ, large
/// ones reading small inputs, as those of large models do (arXiv 2509.22944, Fig. 2). A method that balances columns
/// should hardly notice. The same factors for the same plan and options. Throws Errc::kBadConfig.
[[nodiscard]] inline FactorMap random_factors(const Plan& plan, const RandomFactorOptions& options = {}) {
  options.validate();
  detail::NormalNumbers random(options.seed);
  FactorMap factors;
  sinq::detail::Vector<double> scales;
  for (const Edge& edge : plan.edges) {
    if (!options.edges.has(edge.kind)) continue;
    scales.resize(static_cast<std::size_t>(edge.channels));
    for (double& t : scales) t = detail::random_factor(random, options);
    detail::round_scales(scales, options.rounding);
    detail::fold_in(edge, scales, plan, factors);
  }
  return factors;
}

}  // namespace sinq::inline SINQ_ABI::fold
