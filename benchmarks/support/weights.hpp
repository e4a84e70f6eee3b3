#pragma once

#include <sinq/half.hpp>
#include <sinq/matrix_view.hpp>

#include "shapes.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace sinq::bench {

/// Numbers that are the same on every run and platform.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// splitmix64.
  std::uint64_t bits() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// Mean 0, variance 1, nearly normal: the sum of eight uniform numbers of 16 bits.
  float normal() noexcept {
    std::uint64_t sum = 0;
    for (int word = 0; word < 2; ++word) {
      const std::uint64_t b = bits();
      sum += (b & 0xffffU) + ((b >> 16) & 0xffffU) + ((b >> 32) & 0xffffU) + (b >> 48);
    }
    constexpr float kMean = 8.0F * 32767.5F;
    constexpr float kDeviation = 53509.7F;  // 65536 * sqrt(8 / 12)
    return (static_cast<float>(sum) - kMean) / kDeviation;
  }

 private:
  std::uint64_t state_;
};

/// Aligned memory without contents.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index bytes)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(64, static_cast<std::size_t>(round_up(bytes, 64)))),
                &std::free),
        bytes_(bytes) {
    if (memory_ == nullptr) std::abort();
  }
  [[nodiscard]] std::byte* data() const noexcept { return memory_.get(); }
  [[nodiscard]] Index size() const noexcept { return bytes_; }

 private:
  std::unique_ptr<std::byte, decltype(&std::free)> memory_{nullptr, &std::free};
  Index bytes_ = 0;
};

/// Weights like those of a layer: normal, standard deviation 0.02, times lognormal factors (sigma 0.3) of rows and
/// columns. One matrix at a time lies in memory, in the types that were asked for.
class Weights {
 public:
  [[nodiscard]] MatrixView view(Shape shape, ScalarType type) {
    if (!(shape == shape_)) fill(shape);
    if (type == ScalarType::kF32) return MatrixView::row_major(f32(), shape.rows, shape.cols);
    Buffer& half = type == ScalarType::kF16 ? f16_ : bf16_;
    if (half.size() == 0) {
      half = Buffer(2 * shape.weights());
      auto* out = reinterpret_cast<std::uint16_t*>(half.data());
      for (Index i = 0; i < shape.weights(); ++i) {
        out[i] = type == ScalarType::kF16 ? float_to_half(f32()[i]) : float_to_bfloat16(f32()[i]);
      }
    }
    return MatrixView::row_major(half.data(), type, shape.rows, shape.cols);
  }

 private:
  [[nodiscard]] float* f32() const noexcept { return reinterpret_cast<float*>(f32_.data()); }

  void fill(Shape shape) {
    shape_ = shape;
    f16_ = Buffer();
    bf16_ = Buffer();
    if (f32_.size() < 4 * shape.weights()) {
      f32_ = Buffer();  // the old one first, so that never two exist
      f32_ = Buffer(4 * shape.weights());
    }
    Random random(1);
    const auto factors = [&](Index count, float scale) {
      std::vector<float> out(static_cast<std::size_t>(count));
      for (float& x : out) x = scale * std::exp(0.3F * random.normal());
      return out;
    };
    const std::vector<float> row = factors(shape.rows, 0.02F), col = factors(shape.cols, 1.0F);
    float* out = f32();
    for (const float r : row) {
      for (const float c : col) *out++ = random.normal() * r * c;
    }
  }

  Shape shape_;
  Buffer f32_, f16_, bf16_;
};

/// The one store of the program.
[[nodiscard]] inline Weights& weights() {
  static Weights store;
  return store;
}

}  // namespace sinq::bench
