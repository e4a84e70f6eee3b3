#pragma once

#include <sinq/tile.hpp>

#include "generators.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sinq::test {

/// Floats on a 64-byte boundary between canaries, which tell whether anything was written outside.
class GuardedFloats {
 public:
  explicit GuardedFloats(Index count) : count_(count), memory_(static_cast<std::size_t>(count + 3 * kMargin), kCanary) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data() + kMargin);
    first_ = memory_.data() + kMargin + (64 - address % 64) % 64 / sizeof(float);
  }
  GuardedFloats(const GuardedFloats&) = delete;
  GuardedFloats& operator=(const GuardedFloats&) = delete;

  [[nodiscard]] float* data() { return first_; }
  [[nodiscard]] float operator[](Index i) const { return first_[i]; }
  [[nodiscard]] std::vector<float> values() const { return {first_, first_ + count_}; }
  /// Nothing but the floats themselves was written.
  [[nodiscard]] bool intact() const {
    const auto untouched = [](const float* begin, const float* end) {
      return std::all_of(begin, end, [](float x) { return x == kCanary; });
    };
    return untouched(memory_.data(), first_) && untouched(first_ + count_, memory_.data() + memory_.size());
  }

 private:
  static constexpr Index kMargin = 64;
  static constexpr float kCanary = -123.456F;
  Index count_;
  std::vector<float> memory_;
  float* first_;
};

/// A matrix as normalizers and quantizers get it: aligned rows, padded with zeros.
class TestTile {
 public:
  explicit TestTile(const TestMatrix& w)
      : rows_(w.rows), cols_(w.cols), stride_(round_up(w.cols, kTileStride)), memory_(rows_ * stride_) {
    std::fill(memory_.data(), memory_.data() + rows_ * stride_, 0.0F);
    for (Index r = 0; r < rows_; ++r) {
      for (Index c = 0; c < cols_; ++c) memory_.data()[r * stride_ + c] = w(r, c);
    }
  }

  [[nodiscard]] TileView view(float unit = 1.0F) {
    return {.data = memory_.data(), .rows = rows_, .cols = cols_, .stride = stride_, .unit = unit};
  }
  [[nodiscard]] std::vector<float> values() const { return memory_.values(); }
  [[nodiscard]] bool intact() const { return memory_.intact(); }

 private:
  Index rows_, cols_, stride_;
  GuardedFloats memory_;
};

/// The power of two below the root mean square: what the pipeline gives as a tile's unit.
inline float unit_of(const TestMatrix& w) {
  double squares = 0.0;
  for (const float x : w.values) squares += static_cast<double>(x) * static_cast<double>(x);
  if (squares == 0.0) return 1.0F;
  return std::ldexp(1.0F, std::ilogb(std::sqrt(squares / static_cast<double>(w.values.size()))));
}

/// Scratch memory that a previous user left full of NaN.
inline Scratch dirty_scratch() {
  Scratch scratch;
  std::fill_n(scratch.floats(1 << 16), 1 << 16, std::nanf(""));
  return scratch;
}

}  // namespace sinq::test
