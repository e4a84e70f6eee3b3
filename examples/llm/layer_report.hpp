#pragma once

#include "llm/quantize_model.hpp"
#include "llm/token_blocks.hpp"

#include <vector>

namespace llm {

/// How far the outputs of one quantized linear layer are from those of the original, on the same inputs.
struct OutputError {
  double squared_error = 0;   ///< ||X W'^T - X W^T||^2
  double squared_output = 0;  ///< ||X W^T||^2

  [[nodiscard]] double relative() const;
};

/// Runs the original `model` over `blocks` and gives each linear layer's inputs to its quantized version as well. One
/// entry per entry of `quantized.layers`. Throws kBadData, naming the layer, if outputs are not finite.
[[nodiscard]] std::vector<OutputError> output_errors(const Model& model, const QuantizedModel& quantized,
                                                     const TokenBlocks& blocks, int threads, const Step& step = {});

/// The error of all layers' outputs together: ||all differences|| / ||all outputs||.
[[nodiscard]] double overall(const std::vector<OutputError>& errors);

}  // namespace llm
