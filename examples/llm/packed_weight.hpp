#pragma once

#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/quantized_matrix.hpp>

#include "llm/linear.hpp"

#include <algorithm>

namespace llm {

/// Quantized weights, multiplied from their codes without ever being floats in memory.
class PackedWeight final : public Weight {
 public:
  explicit PackedWeight(const sinq::QuantizedMatrix& matrix, sinq::Precision activations)
      : matrix_(sinq::repack(matrix.view())), activations_(activations) {}

  /// Whether there are kernels for it: most vector codes have none.
  [[nodiscard]] static bool runs(const sinq::Layout& layout) noexcept {
    return layout.vector_dim == 1 || sinq::is_panel_vector(layout);
  }

  [[nodiscard]] Index rows() const noexcept override { return matrix_.rows(); }
  [[nodiscard]] Index cols() const noexcept override { return matrix_.cols(); }
  void multiply(const float* x, Index count, float* y) const override {
    constexpr Index kBatch = 64;           // prepared activations then stay in the cache while all rows pass
    thread_local sinq::ScaledInput input;  // scratch that grows once
    for (Index t = 0; t < count; t += kBatch) {
      const Index batch = std::min(kBatch, count - t);
      input.assign(matrix_.view(), sinq::Activations(x + t * cols(), batch, cols()), activations_);
      sinq::matmul(matrix_.view(), input, {0, rows()}, y + t * rows(), rows());
    }
  }

 private:
  sinq::RepackedMatrix matrix_;
  sinq::Precision activations_;
};

}  // namespace llm
