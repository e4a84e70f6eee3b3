#pragma once

#include "llm/kernels.hpp"
#include "llm/packed_matrix.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace llm {

/// The weights [rows, cols] of a linear layer in whatever form they are kept. Immutable once made: models share them.
class Weight {
 public:
  Weight() = default;
  Weight(const Weight&) = delete;
  Weight& operator=(const Weight&) = delete;
  virtual ~Weight() = default;

  [[nodiscard]] virtual Index rows() const noexcept = 0;
  [[nodiscard]] virtual Index cols() const noexcept = 0;
  /// Does now what `multiply` would do first, once.
  virtual void prepare() const {}
  /// y [count, rows] = x [count, cols] times the transposed weights.
  virtual void multiply(const float* x, Index count, float* y) const = 0;
};

/// Float32 weights.
class DenseWeight final : public Weight {
 public:
  explicit DenseWeight(PackedMatrix matrix) : matrix_(std::move(matrix)) {}

  [[nodiscard]] Index rows() const noexcept override { return matrix_.outputs(); }
  [[nodiscard]] Index cols() const noexcept override { return matrix_.inputs(); }
  void multiply(const float* x, Index count, float* y) const override {
    kernels().multiply(matrix_, rows(), cols(), x, cols(), count, y, rows());
  }

 private:
  PackedMatrix matrix_;
};

/// A linear layer: weights and, where the model has them, biases [rows]. Copies share the weights.
struct Linear {
  std::shared_ptr<const Weight> weight;
  std::vector<float> bias;

  /// y [count, rows] = x [count, cols] W^T + bias.
  void apply(const float* x, Index count, float* y) const {
    weight->multiply(x, count, y);
    if (bias.empty()) return;
    for (Index t = 0; t < count; ++t) {
      for (const float b : bias) *y++ += b;
    }
  }
};

}  // namespace llm
