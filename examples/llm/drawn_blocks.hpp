#pragma once

#include "llm/evaluate.hpp"

#include <cstdint>

namespace llm {

/// Text that the model itself writes: `count` blocks of `context` tokens, each drawn token by token from all of the
/// model's distribution, after the token that its texts begin with (the end token if it has none such, any token if it
/// has neither). The same for the same seed and any number of threads (0: all). `step` is called after each block.
/// Throws kBadConfig if the model was not made for such a context, and as `Session::read` and `read_logits`.
[[nodiscard]] TokenBlocks draw_blocks(const Model& model, Index count, Index context, std::uint64_t seed, int threads,
                                      const Step& step = {});

}  // namespace llm
