#pragma once

#include <sinq/calibration/activation_stats.hpp>

#include "llm/evaluate.hpp"
#include "llm/model.hpp"

#include <vector>

namespace llm {

/// What goes into the linear layers of a model when it reads a text: what calibrated quantization is told.
class InputStats {
 public:
  /// Of the model as it is, over all blocks, on `threads` threads (0: all); the same bits for every number of them.
  [[nodiscard]] static InputStats collect(const Model& model, const TokenBlocks& blocks, int threads,
                                          const Step& step = {});

  [[nodiscard]] const sinq::ActivationStats& of(LinearId id) const;

 private:
  std::vector<sinq::ActivationStats> stats_;  ///< [layers][kInputs]
};

}  // namespace llm
