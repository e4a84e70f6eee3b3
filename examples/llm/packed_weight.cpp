#include "llm/packed_weight.hpp"

#include <sinq/dequantize.hpp>
#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/kernels/vector_codes.hpp>

#include "llm/tensors.hpp"

#include <algorithm>
#include <vector>

namespace llm {
namespace {

class PackedWeight final : public Weight {
 public:
  PackedWeight(const sinq::QuantizedView& matrix, sinq::Precision activations)
      : matrix_(sinq::repack(matrix, sinq::kVectorCodes)), activations_(activations) {}

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

}  // namespace

std::shared_ptr<const Weight> weight_of(const sinq::QuantizedView& q, sinq::Precision activations) {
  const sinq::Layout& layout = q.layout();
  if (layout.vector_dim == 1 || sinq::is_panel_vector(layout)) return std::make_shared<PackedWeight>(q, activations);
  std::vector<float> weights(static_cast<std::size_t>(q.rows() * q.cols()));
  sinq::dequantize_into(q, weights);
  return std::make_shared<DenseWeight>(pack(sinq::MatrixView::row_major(weights.data(), q.rows(), q.cols())));
}

}  // namespace llm
