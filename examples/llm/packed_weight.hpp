#pragma once

#include <sinq/quantized_matrix.hpp>

#include "llm/linear.hpp"

#include <cstdint>
#include <memory>

namespace sinq {
enum class Precision : std::uint8_t;  // of kernels/scaled_input.hpp, which few files here need
}

namespace llm {

/// `q`, ready to be multiplied from its codes without ever being floats in memory; formats without kernels (most vector
/// codes) become floats. `activations` is what meets the codes. `q` is not referred to later.
[[nodiscard]] std::shared_ptr<const Weight> weight_of(const sinq::QuantizedView& q, sinq::Precision activations);

}  // namespace llm
