#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// Floats per row of a tile are a multiple of this (one AVX-512 vector), zeros behind the last column: sums need no
/// mask.
inline constexpr Index kTileStride = 16;

/// First and second moments of the rows and columns of a tile, without any scale.
struct TileMoments {
  float* row_sum = nullptr;  ///< [rows, rounded up to kTileStride]
  float* row_square = nullptr;
  double* col_sum = nullptr;  ///< [stride]
  double* col_square = nullptr;
};

/// A tile of the matrix in scratch memory: what normalizers and group quantizers work on.
struct TileView {
  float* data = nullptr;  ///< [rows][stride]
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;   ///< a multiple of kTileStride; columns from `cols` on hold zeros
  float unit = 1.0F;  ///< what absolute thresholds are multiples of: a power of two near the tile's rms, or 1
  const TileMoments* moments = nullptr;  ///< taken while the tile was copied; null if nobody did

  float steps = 15.0F;  ///< between the levels of the grid that will follow, 2^bits - 1: how coarse rounding will be
  const float* col_weights = nullptr;  ///< [cols] importance of each column's squared error; null: all alike
  [[nodiscard]] float* row(Index r) const noexcept { return data + r * stride; }
  [[nodiscard]] TileView row_slice(RowRange range) const noexcept {
    return {row(range.begin), range.size(), cols, stride, unit, nullptr, steps, col_weights};
  }
};

/// Scale and zero point of every group of some rows of a tile. Group g of row r is at [g * stride + r].
struct GroupParams {
  float* scale = nullptr;       ///< what one level is worth
  float* zero_point = nullptr;  ///< the level that means 0
  Index stride = 0;
};

/// Working memory that outlives a tile, so that the next one need not allocate.
class Scratch {
 public:
  /// At least `count` floats, 64-byte aligned, contents unspecified; good until the next call. One vector behind them
  /// may be read: that of the last group of a tile, whose columns need not be whole vectors, starts within them.
  [[nodiscard]] float* floats(Index count) { return at_least(count + kTileStride, floats_); }
  /// As many doubles, beside the floats.
  [[nodiscard]] double* doubles(Index count) { return at_least(count, doubles_); }

 private:
  template <class T>
  static T* at_least(Index count, detail::Vector<T>& memory) {
    if (static_cast<Index>(memory.size()) < count) memory.resize(static_cast<std::size_t>(count));
    return memory.data();
  }

  detail::Vector<float> floats_;
  detail::Vector<double> doubles_;
};

}  // namespace sinq::inline SINQ_ABI
