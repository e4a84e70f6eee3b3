#pragma once

#include <sinq/kernels/precision.hpp>
#include <sinq/quantized_matrix.hpp>

#include "llm/linear.hpp"

#include <memory>

namespace llm {

/// `q`, ready to be multiplied from its codes without ever being floats in memory; formats without kernels (most vector
/// codes) become floats. `activations` is what meets the codes. `q` is not referred to later.
[[nodiscard]] std::shared_ptr<const Weight> weight_of(const sinq::QuantizedView& q, sinq::Precision activations);

}  // namespace llm
