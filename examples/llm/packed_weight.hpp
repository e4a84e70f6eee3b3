#pragma once

#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/quantized_matrix.hpp>

#include "llm/linear.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace llm {

/// Quantized weights, multiplied from their codes without ever being floats in memory.
class PackedWeight final : public Weight {
 public:
  PackedWeight(sinq::QuantizedMatrix matrix, sinq::Precision activations) : activations_(activations) {
    // Rows interleaved, as the kernels like it best; most vector codes have no such order.
    if (matrix.layout().vector_dim == 1 || sinq::is_panel_vector(matrix.layout())) {
      matrix_ = sinq::repack(matrix.view());
    } else {
      matrix_ = std::move(matrix);
    }
  }

  [[nodiscard]] Index rows() const noexcept override {
    return std::visit([](const auto& m) { return m.rows(); }, matrix_);
  }
  [[nodiscard]] Index cols() const noexcept override {
    return std::visit([](const auto& m) { return m.cols(); }, matrix_);
  }
  void multiply(const float* x, Index count, float* y) const override {
    constexpr Index kBatch = 64;           // prepared activations then stay in the cache while all rows pass
    thread_local sinq::ScaledInput input;  // scratch that grows once
    const Index row_count = rows(), col_count = cols();
    std::visit(
        [&](const auto& m) {
          for (Index t = 0; t < count; t += kBatch) {
            const Index batch = std::min(kBatch, count - t);
            input.assign(m.view(), sinq::Activations(x + t * col_count, batch, col_count), activations_);
            sinq::matmul(m.view(), input, {0, row_count}, y + t * row_count, row_count);
          }
        },
        matrix_);
  }

 private:
  std::variant<sinq::RepackedMatrix, sinq::QuantizedMatrix> matrix_;
  sinq::Precision activations_;
};

}  // namespace llm
