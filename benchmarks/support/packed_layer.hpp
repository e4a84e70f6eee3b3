#pragma once

#include <sinq/sinq.hpp>

#include "shapes.hpp"
#include "support/weights.hpp"

#include <cstring>
#include <string>
#include <vector>

namespace sinq::bench {

enum class Levels {
  kUniform,
  kCodebook,  ///< NF4, NF3 or ternary, as the bits say
};

/// What a layer is quantized to.
struct PackedFormat {
  int bits = 4;
  Levels levels = Levels::kUniform;
  Index group = 64;
  AuxFormat aux = AuxFormat::kF16;
  ColScaleKind col_scale = ColScaleKind::kStored;
  Shape shape = shapes::kAttention;

  friend bool operator==(const PackedFormat&, const PackedFormat&) = default;
};

template <class Q>
QuantizedMatrix quantize_layer(const PackedFormat& format, const Q& quantizer) {
  const MatrixView w = weights().view(format.shape, ScalarType::kF32);
  if (format.col_scale == ColScaleKind::kStored) {
    return quantize(w, Config<Q>{.quantizer = quantizer, .group_size = format.group, .aux = format.aux});
  }
  return quantize(w, Config<Q, Identity>{.quantizer = quantizer, .group_size = format.group, .aux = format.aux});
}

/// A quantized layer in row-major order.
[[nodiscard]] inline QuantizedMatrix quantize_layer(const PackedFormat& format) {
  if (format.levels == Levels::kUniform) return quantize_layer(format, Uniform{.bits = format.bits});
  if (format.bits == 4) return quantize_layer(format, codebooks::kNf4);
  return quantize_layer(format, format.bits == 3 ? codebooks::kNf3 : codebooks::kTernary);
}

/// The same layer many times over, so that each use finds it in memory and not in a cache.
class ColdCopies {
 public:
  /// More than any cache of today's servers.
  static constexpr Index kBytes = (Index{1} << 30) + (Index{1} << 27);

  void fill(std::span<const std::byte> layer) {
    if (memory_.size() == 0) memory_ = Buffer(kBytes);
    size_ = static_cast<Index>(layer.size());
    count_ = kBytes / size_;
    for (Index i = 0; i < count_; ++i) std::memcpy(memory_.data() + i * size_, layer.data(), layer.size());
  }
  [[nodiscard]] Index count() const noexcept { return count_; }
  [[nodiscard]] std::span<const std::byte> copy(Index i) const noexcept {
    return {memory_.data() + i * size_, static_cast<std::size_t>(size_)};
  }
  [[nodiscard]] const std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] Index used() const noexcept { return count_ * size_; }

 private:
  Buffer memory_;
  Index size_ = 0;
  Index count_ = 0;
};

/// The one store of the program.
[[nodiscard]] inline ColdCopies& cold_copies() {
  static ColdCopies store;
  return store;
}

}  // namespace sinq::bench
