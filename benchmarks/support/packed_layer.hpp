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
  kTrellis,   ///< a lane trellis of `quarter_bits` / 4 bits
};

/// What a layer is quantized to.
struct PackedFormat {
  int bits = 4;
  int quarter_bits = 0;
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

/// A lane trellis with random contents: what the codes are makes no difference to the speed of the kernels.
[[nodiscard]] inline QuantizedMatrix random_trellis(const PackedFormat& format) {
  QuantizedMatrix q(Layout{.rows = format.shape.rows,
                           .cols = format.shape.cols,
                           .bits = 0,
                           .quarter_bits = format.quarter_bits,
                           .group_size = format.group,
                           .row_block = format.shape.rows,
                           .level_count = TrellisTables::kBytes,
                           .offset = OffsetKind::kShared,
                           .aux = format.aux,
                           .col_scale = format.col_scale});
  Random random(3);
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * 0x1p-53 * static_cast<double>(random.bits() >> 11);
  };
  for (const Region region : {Region::kCodes, Region::kGroupScale}) {
    for (std::byte& b : q.region(region)) b = static_cast<std::byte>(random.bits() & 255U);
  }
  // Entries have both signs, and sums of three fit a byte.
  for (std::byte& b : q.region(Region::kLevels)) b = static_cast<std::byte>(static_cast<int>(random.bits() & 31U) - 15);
  const auto fill = [&](Region region, double low, double high) {
    for (std::size_t i = 0; i + 2 <= q.region(region).size(); i += 2) {
      const std::uint16_t half = float_to_half(static_cast<float>(uniform(low, high)));
      std::memcpy(q.region(region).data() + i, &half, sizeof half);
    }
  };
  if (format.aux == AuxFormat::kF16) fill(Region::kGroupScale, 0.5, 1.0);
  fill(Region::kGroupScaleBlocks, 0.01, 0.02);
  fill(Region::kColScale, 0.5, 2.0);
  return q;
}

/// A quantized layer in row-major order.
[[nodiscard]] inline QuantizedMatrix quantize_layer(const PackedFormat& format) {
  if (format.levels == Levels::kUniform) return quantize_layer(format, Uniform{.bits = format.bits});
  if (format.levels == Levels::kTrellis) return random_trellis(format);
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
