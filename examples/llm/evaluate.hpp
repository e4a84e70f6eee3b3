#pragma once

#include "llm/model.hpp"
#include "llm/session.hpp"
#include "llm/token_blocks.hpp"

#include <functional>
#include <vector>

namespace llm {

/// What one thread may tell another about how far it is.
using Step = std::function<void()>;

/// How the unquantized model reads a text: what KL is taken against. Computed once, compared with many times. Hidden
/// states, not logits, are kept: the head turns one into the other, and they are a fraction of the size.
struct Baseline {
  Linear head;
  std::vector<std::vector<float>> hidden;  ///< per block [context, hidden]
};

/// Runs `model` over the first `count` blocks (0: all) on `threads` threads (0: all). `step` is called after each.
[[nodiscard]] Baseline read_baseline(const Model& model, const TokenBlocks& blocks, Index count, int threads,
                                     const Step& step = {});

struct Evaluation {
  double perplexity = 0;  ///< exp of the mean negative log-likelihood of positions 2..N of each block
  double kl = 0;          ///< mean KL(baseline || model) in nats over all positions of the baseline's blocks
  double flips = 0;       ///< share of those positions where another token is the most likely one
  Index scored_tokens = 0;
  Index kl_positions = 0;
  double seconds = 0;  ///< of the forward passes and the sums over logits
};

/// Perplexity over all blocks, and KL over those that `baseline` has (none if it is null). The result does not depend
/// on the number of threads. Throws kBadData, saying where it began, if a number on the way or a result is not finite.
[[nodiscard]] Evaluation evaluate(const Model& model, const TokenBlocks& blocks, const Baseline* baseline, int threads,
                                  const Step& step = {});

}  // namespace llm
