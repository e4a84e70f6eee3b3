#pragma once

#include "llm/linear.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace llm {

/// Weights that are brought into the order of their kernels when they are first used, so that opening a model reads
/// none of them.
class DeferredWeight final : public Weight {
 public:
  using Make = std::function<std::shared_ptr<const Weight>()>;

  /// `make` returns weights [rows, cols]; it is called once, by whichever thread comes first.
  DeferredWeight(Index rows, Index cols, Make make) : rows_(rows), cols_(cols), make_(std::move(make)) {}

  [[nodiscard]] Index rows() const noexcept override { return rows_; }
  [[nodiscard]] Index cols() const noexcept override { return cols_; }
  void prepare() const override {
    std::call_once(made_, [this] {
      weight_ = make_();  // who comes after an error gets the same one
      make_ = nullptr;
    });
  }
  void multiply(const float* x, Index count, float* y) const override {
    prepare();
    weight_->multiply(x, count, y);
  }

 private:
  Index rows_;
  Index cols_;
  mutable std::once_flag made_;
  mutable Make make_;
  mutable std::shared_ptr<const Weight> weight_;
};

}  // namespace llm
