#pragma once

#include <sinq/types.hpp>

#include <cstddef>
#include <memory>
#include <new>

namespace llm {

using sinq::Index;

/// A float32 matrix [outputs, inputs] in the order the matrix product reads it: panels of 32 outputs, each panel
/// [inputs][32]. Weights are stored this way once; the KV cache is written this way as it grows (keys: one output per
/// position, values: one input per position), so that attention is the same product. Padding outputs are zero.
class PackedMatrix {
 public:
  static constexpr Index kPanel = 32;

  PackedMatrix() = default;
  PackedMatrix(Index outputs, Index inputs)
      : outputs_(outputs), inputs_(inputs), data_(allocate(sinq::round_up(outputs, kPanel) * inputs)) {}

  [[nodiscard]] Index outputs() const noexcept { return outputs_; }
  [[nodiscard]] Index inputs() const noexcept { return inputs_; }

  /// Panel p: [inputs][32].
  [[nodiscard]] const float* panel(Index p) const noexcept { return data_.get() + p * kPanel * inputs_; }

  /// Stores one output's weights, `values` [inputs].
  void set_output(Index output, const float* values) noexcept {
    float* at = data_.get() + output / kPanel * kPanel * inputs_ + output % kPanel;
    for (Index i = 0; i < inputs_; ++i) at[i * kPanel] = values[i];
  }
  /// Stores one input's weights, `values` [outputs].
  void set_input(Index input, const float* values) noexcept {
    for (Index o = 0; o < outputs_; ++o) {
      data_[static_cast<std::size_t>(o / kPanel * kPanel * inputs_ + input * kPanel + o % kPanel)] = values[o];
    }
  }
  [[nodiscard]] float at(Index output, Index input) const noexcept {
    return panel(output / kPanel)[input * kPanel + output % kPanel];
  }

 private:
  static constexpr std::size_t kAlignment = 64;  // a cache line, the widest vector
  struct Free {
    void operator()(float* p) const noexcept { ::operator delete[](p, std::align_val_t{kAlignment}); }
  };
  static std::unique_ptr<float[], Free> allocate(Index count) {
    auto* p = static_cast<float*>(
        ::operator new[](static_cast<std::size_t>(count) * sizeof(float), std::align_val_t{kAlignment}));
    for (Index i = 0; i < count; ++i) p[i] = 0.0F;
    return std::unique_ptr<float[], Free>(p);
  }

  Index outputs_ = 0;
  Index inputs_ = 0;
  std::unique_ptr<float[], Free> data_;
};

}  // namespace llm
