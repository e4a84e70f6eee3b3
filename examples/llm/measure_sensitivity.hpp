#pragma once

#include "llm/model.hpp"
#include "llm/sensitivity.hpp"
#include "llm/token_blocks.hpp"

#include <functional>
#include <vector>

namespace llm {

/// What a matrix is quantized with to see what that does: two bits, whose error is large enough to be told from the
/// rounding of float32 and small enough for KL to grow in proportion. A name of `sinq::presets::recipes()`.
inline constexpr const char* kProbeRecipe = "learned-2-g64";

/// Called with all that is measured, whenever a layer is finished.
using KeepSensitivities = std::function<void(const std::vector<MatrixSensitivity>&)>;

/// Measures, for each matrix of `model`, the KL that comes of quantizing it alone, over all positions of `blocks`, and
/// divides it by the relative squared error that was made: the linearity theorem of HIGGS (arXiv 2411.17525), each
/// alpha found as it is there, by one perturbation. The matrices: the embedding table (with the head, where it is
/// tied), the linear layers of the blocks, a head of its own.
///
/// What is shared is computed once: a layer's matrices start from the hidden states on their way into it, and the
/// unquantized model's logits are compared with those of all matrices of a layer. On `threads` threads (0: all), of
/// which the result does not depend. Memory: hidden states of all blocks before each layer, [layers + 8, tokens,
/// hidden] floats.
///
/// `known`: what an earlier run of the same has kept; not measured again. Shows progress on stderr. Throws kBadData for
/// numbers that are not finite, with the matrix's name.
[[nodiscard]] std::vector<MatrixSensitivity> measure_sensitivities(const Model& model, const TokenBlocks& blocks,
                                                                   std::vector<MatrixSensitivity> known, int threads,
                                                                   const KeepSensitivities& keep = {});

}  // namespace llm
