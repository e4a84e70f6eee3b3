#pragma once

#include <sinq/detail/nth_smallest.hpp>
#include <sinq/detail/tile_moments.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/finite.hpp>
#include <sinq/half.hpp>
#include <sinq/isa.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/tile.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sinq::inline SINQ_ABI::detail {

struct F16Bits {
  std::uint16_t bits;
};
struct Bf16Bits {
  std::uint16_t bits;
};

template <class Tag>
struct TileLoad;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/tile_loader_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Calls f with a typed pointer to the first element of strided memory.
template <class F>
decltype(auto) with_scalars(const MatrixView& w, F&& f) {
  switch (w.type) {
    case ScalarType::kF64:
      return f(static_cast<const double*>(w.data));
    case ScalarType::kF16:
      return f(static_cast<const F16Bits*>(w.data));
    case ScalarType::kBf16:
      return f(static_cast<const Bf16Bits*>(w.data));
    case ScalarType::kF32:
      break;
  }
  return f(static_cast<const float*>(w.data));
}

[[nodiscard]] inline float to_float(float x) noexcept { return x; }
[[nodiscard]] inline float to_float(double x) noexcept { return static_cast<float>(x); }
[[nodiscard]] inline float to_float(F16Bits x) noexcept { return half_to_float(x.bits); }
[[nodiscard]] inline float to_float(Bf16Bits x) noexcept { return bfloat16_to_float(x.bits); }

/// Position and size of a tile in the matrix.
struct TileRect {
  Index row, col, rows, cols;
};

/// Reads a rectangle of the matrix as floats, unscaled.
inline void read_rect(const MatrixView& w, const TileRect& rect, float* out, Index out_stride) {
  if (w.read_tile != nullptr) {
    w.read_tile(w.data, rect.row, rect.col, rect.rows, rect.cols, out, out_stride);
    return;
  }
  with_scalars(w, [&](const auto* data) {
    const auto* first = data + rect.row * w.row_stride + rect.col * w.col_stride;
    // Column-major sources are walked in blocks of rows, so that both sides stay in the first cache.
    constexpr Index kBlock = 16;
    for (Index r0 = 0; r0 < rect.rows; r0 += kBlock) {
      const Index r1 = std::min(r0 + kBlock, rect.rows);
      for (Index c = 0; c < rect.cols; ++c) {
        for (Index r = r0; r < r1; ++r) out[r * out_stride + c] = to_float(first[r * w.row_stride + c * w.col_stride]);
      }
    }
  });
}

/// A tile in scratch memory together with its moments.
class LoadedTile {
 public:
  /// Room for the moments of a tile [rows][stride], in memory that outlives this object.
  LoadedTile(const TileView& tile, Scratch& scratch) : tile_(tile) {
    const Index padded = round_up(tile.rows, kTileStride);
    const Index longest = std::max(padded, tile.stride);
    float* memory = scratch.floats(2 * padded + longest);
    double* totals = scratch.doubles(2 * tile.stride);
    moments_ = {memory, memory + padded, totals, totals + tile.stride};
    ones_ = memory + 2 * padded;
    std::fill(ones_, ones_ + longest, 1.0F);
  }
  LoadedTile(const LoadedTile&) = delete;
  LoadedTile& operator=(const LoadedTile&) = delete;

  /// Fills the tile with the rectangle of the matrix at (row, col) times `factor`, a power of two, and zeros its
  /// padding. False if a weight is NaN or Inf.
  [[nodiscard]] bool load(const MatrixView& w, Index row, Index col, float factor, InputRounding rounding, Isa limit) {
    std::int32_t bits = 0;
    if (w.read_tile == nullptr && w.col_stride == 1) {
      const void* const first =
          static_cast<const std::byte*>(w.data) + (row * w.row_stride + col) * scalar_bytes(w.type);
      bits = copy(first, w.type, w.row_stride, factor, rounding, limit);
    } else {
      read_rect(w, {row, col, tile_.rows, tile_.cols}, tile_.data, tile_.stride);
      bits = copy(tile_.data, ScalarType::kF32, tile_.stride, factor, rounding, limit);
    }
    const auto greatest = std::bit_cast<float>(bits);
    greatest_ = static_cast<double>(greatest) * static_cast<double>(factor);
    return is_finite(greatest);
  }

  /// After `load`, with its arguments: weights beyond 2^56 in the tile, whose squares could overflow sums, become that.
  /// Returns how many. They are so far above the rest that nothing can be said of both.
  Index clip(const MatrixView& w, Index row, Index col, float factor, InputRounding rounding, Isa limit) {
    constexpr double kMost = 0x1p56;
    if (greatest_ <= kMost) return 0;
    const double most = kMost / static_cast<double>(factor);
    Index clipped = 0;
    read_rect(w, {row, col, tile_.rows, tile_.cols}, tile_.data, tile_.stride);
    for (Index r = 0; r < tile_.rows; ++r) {
      for (float* x = tile_.row(r); x != tile_.row(r) + tile_.cols; ++x) {
        if (std::fabs(static_cast<double>(*x)) <= most) continue;
        *x = std::copysign(static_cast<float>(most), *x);
        ++clipped;
      }
    }
    static_cast<void>(copy(tile_.data, ScalarType::kF32, tile_.stride, factor, rounding, limit));
    greatest_ = kMost;
    return clipped;
  }

  /// Of the loaded tile.
  [[nodiscard]] double mean_square() const noexcept {
    double square = 0.0;
    // Squares of finite weights may overflow float.
    if (greatest_ * greatest_ * static_cast<double>(tile_.cols) > kMostFloat) {
      for (Index r = 0; r < tile_.rows; ++r) {
        for (Index c = 0; c < tile_.cols; ++c) {
          square += static_cast<double>(tile_.row(r)[c]) * static_cast<double>(tile_.row(r)[c]);
        }
      }
    } else {
      for (Index r = 0; r < tile_.rows; ++r) square += static_cast<double>(moments_.row_square[r]);
    }
    return square / (static_cast<double>(tile_.rows) * static_cast<double>(tile_.cols));
  }

  /// The mean square of what most rows are like: `mean_square`, unless that is 64 times what more than half of the
  /// rows have. Then a few outliers make the mean, and the median row that is not zero is typical.
  [[nodiscard]] double typical_square(double mean_square) const {
    constexpr double kFar = 1.0 / 64.0;
    const auto limit = static_cast<float>(std::min(kFar * mean_square * static_cast<double>(tile_.cols), kMostFloat));
    Index below = 0;
    for (Index r = 0; r < tile_.rows; ++r) below += moments_.row_square[r] < limit ? 1 : 0;
    if (2 * below <= tile_.rows || mean_square == 0.0) return mean_square;
    return std::min(mean_square, static_cast<double>(median_square()) / static_cast<double>(tile_.cols));
  }

  /// The tile, with moments.
  [[nodiscard]] TileView view(float unit) const noexcept {
    TileView out = tile_;
    out.moments = &moments_;
    out.unit = unit;
    return out;
  }

 private:
  /// Of the rows that are not zero, of which there is one.
  [[nodiscard]] float median_square() const {
    Vector<float> squares(static_cast<std::size_t>(tile_.rows));
    const auto end = std::copy_if(moments_.row_square, moments_.row_square + tile_.rows, squares.begin(),
                                  [](float square) { return square > 0.0F; });
    const auto count = static_cast<std::size_t>(end - squares.begin());
    return nth_smallest(squares.data(), count, count / 2);
  }

  static constexpr auto kMostFloat = static_cast<double>(std::numeric_limits<float>::max());

  std::int32_t copy(const void* first, ScalarType type, Index stride, float factor, InputRounding rounding, Isa limit) {
    return dispatch(limit, [&](auto tag) {
      return TileLoad<decltype(tag)>::run(first, type, stride, factor, rounding, tile_, moments_, ones_);
    });
  }

  TileView tile_;
  TileMoments moments_;
  float* ones_;
  double greatest_ = 0.0;  ///< magnitude, times the factor
};

/// The power of two nearest below the root mean square; 1 for an all-zero tile.
[[nodiscard]] inline float power_of_two_near(double mean_square) noexcept {
  if (!is_positive(mean_square)) return 1.0F;
  return static_cast<float>(std::ldexp(1.0, std::clamp(std::ilogb(std::sqrt(mean_square)), -120, 120)));
}

}  // namespace sinq::inline SINQ_ABI::detail
