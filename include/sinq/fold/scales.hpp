#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/fold/consumer_stack.hpp>
#include <sinq/fold/plan.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

namespace sinq::inline SINQ_ABI::fold {

/// What the factors are rounded to.
enum class FactorRounding : std::uint8_t {
  kNone,
  kPowerOfTwo,  ///< scaled bf16 and f16 weights keep their mantissas: the same function, up to the order of sums
};

/// Which kinds of edges are folded.
struct EdgeChoice {
  bool norms = true;
  bool up_down = true;
  bool value_output = true;
  bool head = false;  ///< of models whose head is no embedding table; of use if the head is quantized

  [[nodiscard]] bool has(EdgeKind kind) const noexcept {
    switch (kind) {
      case EdgeKind::kNorm:
        return norms;
      case EdgeKind::kUpDown:
        return up_down;
      case EdgeKind::kValueOutput:
        return value_output;
      case EdgeKind::kHead:
        return head;
    }
    return false;
  }
  friend bool operator==(const EdgeChoice&, const EdgeChoice&) = default;
};

/// How scales are found.
struct ScaleOptions {
  Index tile = 64;      ///< channels balanced together; 0: all
  int iterations = 16;  ///< of Sinkhorn, at most
  int repeats = 1;      ///< passes over all edges
  FactorRounding rounding = FactorRounding::kNone;
  EdgeChoice edges{};

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (tile < 0) SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: tile ", tile, " is negative"));
    if (repeats < 1 || repeats > 100) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: repeats ", repeats, " is not in 1..100"));
    }
    Sinkhorn{.iterations = iterations}.validate();
  }
  friend bool operator==(const ScaleOptions&, const ScaleOptions&) = default;
};

namespace detail {

/// Divides by the geometric mean, so that neither producers nor consumers drift, and keeps scales within
/// 1 / most .. most. Channels that nobody reads have 0 and get 1.
inline void center(std::span<double> scales, double most) {
  double sum = 0.0, count = 0.0;
  for (const double t : scales) {
    if (t > 0.0) {
      sum += std::log(t);
      count += 1.0;
    }
  }
  const double mean = std::exp(sum / std::max(count, 1.0));
  for (double& t : scales) t = t > 0.0 ? std::clamp(t / mean, 1.0 / most, most) : 1.0;
}

inline void round_scales(std::span<double> scales, FactorRounding rounding) {
  if (rounding == FactorRounding::kNone) return;
  for (double& t : scales) t = std::exp2(std::round(std::log2(t)));
}

/// Whether column `c` of a row-major matrix is all zeros.
[[nodiscard]] inline bool is_zero(const sinq::detail::Vector<float>& weights, Index columns, Index c) {
  const auto size = static_cast<Index>(weights.size());
  while (c < size && weights[static_cast<std::size_t>(c)] == 0.0F) c += columns;
  return c >= size;
}

/// One scale per channel of an edge, from its consumers under `factors`; the geometric mean of each tile's is 1, since
/// how a whole tile compares with others is no matter of its columns.
[[nodiscard]] inline sinq::detail::Vector<double> edge_scales(const Edge& edge, const FactorMap& factors,
                                                              const MatrixLookup& lookup, const ScaleOptions& options) {
  // No channel of a consumer is worth more: beyond it lies noise, and the producer's range.
  constexpr double kMostFactor = 1024.0;
  const ConsumerStack stack(edge, factors, lookup);
  sinq::detail::Vector<double> scales(static_cast<std::size_t>(edge.channels), 1.0);
  if (stack.rows() == 0) return scales;
  const Index tile = options.tile == 0 ? edge.channels : std::min(options.tile, edge.channels);
  sinq::detail::Vector<float> weights;
  for (Index begin = 0; begin < edge.channels; begin += tile) {
    const Index width = std::min(tile, edge.channels - begin);
    weights.resize(static_cast<std::size_t>(stack.rows() * width));
    stack.read({begin, begin + width}, weights.data(), width);
    const DualScale dual =
        balance(MatrixView::row_major(weights.data(), stack.rows(), width), Sinkhorn{.iterations = options.iterations});
    const std::span<double> part = std::span(scales).subspan(static_cast<std::size_t>(begin), dual.col.size());
    for (std::size_t c = 0; c < part.size(); ++c) {
      part[c] = is_zero(weights, width, static_cast<Index>(c)) ? 0.0 : static_cast<double>(dual.col[c]);
    }
    center(part, kMostFactor);
  }
  round_scales(scales, options.rounding);
  return scales;
}

/// Producers times scales, consumers times their reciprocals.
inline void fold_in(const Edge& edge, std::span<const double> scales, const Plan& plan, FactorMap& factors) {
  const auto multiply = [](std::vector<double>& all, Index size, Index at, double factor) {
    if (all.empty()) all = std::vector<double>(static_cast<std::size_t>(size), 1.0);
    all[static_cast<std::size_t>(at)] *= factor;
  };
  for (const Producer& producer : edge.producers) {
    Factors& tensor = factors.of(producer.tensor);
    tensor.norm = producer.norm;
    const Index rows = plan.shapes.find(producer.tensor)->second[0];
    for (Index c = 0; c < edge.channels; ++c) {
      multiply(tensor.rows, rows, producer.row(c), scales[static_cast<std::size_t>(c)]);
    }
  }
  for (const Consumer& consumer : edge.consumers) {
    Factors& tensor = factors.of(consumer.tensor);
    const Index columns = edge.channels * consumer.repeat;
    for (Index k = 0; k < columns; ++k) {
      multiply(tensor.cols, columns, k, 1.0 / scales[static_cast<std::size_t>(consumer.channel(k))]);
    }
  }
}

}  // namespace detail

/// The factors that balance the consumers of every chosen edge ("pre-SINQ", arXiv 2509.22944): Sinkhorn over tiles of
/// their common columns, in the order of the plan, each edge seeing what the others did; products in double. Memory:
/// one tile of one edge. `after_edge` is called with every edge that is done: for progress, and to let its matrices
/// go. Throws Errc::kBadConfig; Errc::kBadData for weights that are not finite.
[[nodiscard]] inline FactorMap find_factors(const Plan& plan, const MatrixLookup& lookup,
                                            const ScaleOptions& options = {},
                                            const std::function<void(const Edge&)>& after_edge = {}) {
  options.validate();
  FactorMap factors;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const Edge& edge : plan.edges) {
      if (!options.edges.has(edge.kind)) continue;
      detail::fold_in(edge, detail::edge_scales(edge, factors, lookup, options), plan, factors);
      if (after_edge) after_edge(edge);
    }
  }
  return factors;
}

}  // namespace sinq::inline SINQ_ABI::fold
