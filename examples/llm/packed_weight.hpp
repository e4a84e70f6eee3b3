#pragma once

#include <sinq/kernels/precision.hpp>
#include <sinq/quantized_matrix.hpp>

#include "llm/linear.hpp"

#include <memory>
#include <string>

namespace llm {

/// `q`, ready to be multiplied from its codes without ever being floats in memory; formats without kernels (most vector
/// codes) become floats; a lane trellis is copied as it is. `activations` is what meets the codes. `q` is not referred
/// to later. Throws kBadData, naming `tensor` and place, if a scale or zero point is NaN or Inf.
[[nodiscard]] std::shared_ptr<const Weight> weight_of(const std::string& tensor, const sinq::QuantizedView& q,
                                                      sinq::Precision activations);

}  // namespace llm
