#pragma once

#include <sinq/fold/scales.hpp>

#include <span>

namespace sinq::inline SINQ_ABI::fold {

/// The options that gave the least loss, and what they lead to.
struct SearchResult {
  ScaleOptions options{};
  FactorMap factors{};
  double loss = 0.0;
  std::vector<double> losses{};  ///< of all candidates, in their order
};

/// Tries tile, iterations and repeats around `base`, whose other fields stay: what the paper's search varies.
[[nodiscard]] inline std::vector<ScaleOptions> search_grid(const ScaleOptions& base = {}) {
  std::vector<ScaleOptions> out;
  for (const Index tile : {Index{32}, Index{64}, Index{128}, Index{0}}) {
    for (const int iterations : {4, 16}) {
      for (const int repeats : {1, 2}) {
        out.push_back(base);
        out.back().tile = tile;
        out.back().iterations = iterations;
        out.back().repeats = repeats;
      }
    }
  }
  return out;
}

/// The best of `candidates` by `loss(const FactorMap&) -> double`: a layer error, a divergence, whatever counts. The
/// first of equals wins. Throws Errc::kBadConfig without candidates, and what find_factors throws.
template <class Loss>
[[nodiscard]] SearchResult search(const Plan& plan, const MatrixLookup& lookup,
                                  std::span<const ScaleOptions> candidates, Loss&& loss) {
  if (candidates.empty()) SINQ_THROW(Errc::kBadConfig, "fold: search: there are no candidates");
  SearchResult best;
  for (const ScaleOptions& options : candidates) {
    FactorMap factors = find_factors(plan, lookup, options);
    const double value = loss(static_cast<const FactorMap&>(factors));
    if (best.losses.empty() || value < best.loss) {
      best.options = options;
      best.factors = std::move(factors);
      best.loss = value;
    }
    best.losses.push_back(value);
  }
  return best;
}

}  // namespace sinq::inline SINQ_ABI::fold
