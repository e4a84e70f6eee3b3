#pragma once

#include "llm/model.hpp"
#include "llm/token_blocks.hpp"

namespace fold_program {

/// How far two models are apart on a text.
struct Difference {
  double largest_logit = 0;  ///< |logit - logit'|, over all positions and tokens
  double kl = 0;             ///< mean KL(original || other) in nats
  sinq::Index positions = 0;
};

/// Runs both models over `blocks`, on `threads` threads (0: all).
[[nodiscard]] Difference compare(const llm::Model& original, const llm::Model& other, const llm::TokenBlocks& blocks,
                                 int threads);

}  // namespace fold_program
