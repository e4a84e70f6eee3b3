#pragma once

#include <sinq/fold/factors.hpp>

#include <string>
#include <vector>

namespace sinq::inline SINQ_ABI::fold {

/// What makes the channels of an edge: choose by it which edges are folded.
enum class EdgeKind : std::uint8_t {
  kNorm,         ///< norm -> the linear layers that read it
  kUpDown,       ///< rows of up -> columns of down
  kValueOutput,  ///< rows of v -> columns of o
  kHead,         ///< last norm -> head
};

/// A tensor that makes an edge's channels: the weight or bias of a norm, rows of a linear layer or their biases.
/// Channel c is row first + c / block * stride + c % block.
struct Producer {
  std::string tensor{};
  NormKind norm = NormKind::kWeight;  ///< of a norm's weight
  Index first = 0;
  Index block = 0;   ///< neighbouring rows; 0: all channels
  Index stride = 0;  ///< rows from one block to the next

  [[nodiscard]] Index row(Index channel) const noexcept {
    return block == 0 ? first + channel : first + channel / block * stride + channel % block;
  }
};

/// Whether a consumer takes part in choosing the scales.
enum class Say : std::uint8_t {
  kCounts,
  kNone,  ///< it is compensated, no more: a router, which nobody quantizes
};

/// A linear layer whose columns read an edge's channels, `repeat` columns each: column k reads channel
/// k / (block * repeat) * block + k % block. With grouped-query attention a block is a head and repeat = heads /
/// kv_heads.
struct Consumer {
  std::string tensor{};
  Index block = 0;  ///< 0: all channels
  Index repeat = 1;
  Say say = Say::kCounts;

  [[nodiscard]] Index channel(Index column) const noexcept {
    return block == 0 ? column : column / (block * repeat) * block + column % block;
  }
  /// The column that reads `channel` as the `copy`-th of `repeat`.
  [[nodiscard]] Index column(Index channel, Index copy) const noexcept {
    return block == 0 ? channel : (channel / block * repeat + copy) * block + channel % block;
  }
};

/// Channels, what makes them and all that reads them: producers times t and consumers times 1 / t, per channel, is the
/// same model.
struct Edge {
  EdgeKind kind = EdgeKind::kNorm;
  Index channels = 0;
  std::vector<Producer> producers{};
  std::vector<Consumer> consumers{};

  /// For errors and reports: the first producer.
  [[nodiscard]] const std::string& name() const { return producers.front().tensor; }
};

}  // namespace sinq::inline SINQ_ABI::fold
