#pragma once

#include <sinq/abi.hpp>

#include <cstddef>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// Signed size and position, as in Eigen.
using Index = std::ptrdiff_t;

/// The most weights of a matrix, as a power of two: every size in bytes is then an Index, whatever the format and its
/// padding (a column of one weight per row takes 40 bytes per row in interleaved order).
inline constexpr int kMaxWeightsLog2 = sizeof(Index) == 8 ? 40 : 25;
inline constexpr Index kMaxWeights = Index{1} << kMaxWeightsLog2;

/// Rows [begin, end) of a matrix.
struct RowRange {
  Index begin = 0;
  Index end = 0;
  [[nodiscard]] constexpr Index size() const noexcept { return end - begin; }
  friend constexpr bool operator==(const RowRange&, const RowRange&) = default;
};

/// Columns [begin, end) of a matrix.
struct ColRange {
  Index begin = 0;
  Index end = 0;
  [[nodiscard]] constexpr Index size() const noexcept { return end - begin; }
  friend constexpr bool operator==(const ColRange&, const ColRange&) = default;
};

/// How the matrix is cut into the tiles that a normalizer balances one by one.
enum class Tiling {
  kColumns,  ///< all rows x `tile_cols` columns (the reference's "1D"): one column scale vector for the matrix
  kSquare,   ///< `tile_cols` x `tile_cols` squares (the reference's "2D"): one column scale vector per row of squares
};

/// Whether a group has a zero point of its own.
enum class Symmetry {
  kAsymmetric,  ///< each group stores a zero point
  kSymmetric,   ///< zero is the same level in every group; nothing is stored
};

/// How group scales, zero points and column scales are stored.
enum class AuxFormat : std::uint8_t {
  kF16,  ///< IEEE binary16: what the paper's tables count
  kF32,  ///< exact: comparison with the reference
  kU8,   ///< 8 bits under an f16 {minimum, step} per 64 consecutive rows of one group; column scales stay f16
  kU6,   ///< the same in 6 bits, a bit stream per group: what groups of 16 and 32 can afford
};

/// What absolute thresholds (least range, least deviation) are measured in.
enum class Thresholds : std::uint8_t {
  kRelative,  ///< multiples of each tile's own rms: scaling a matrix scales the result
  kAbsolute,  ///< the weights' own units, as in the reference
};

/// Rounding of the weights before anything else.
enum class InputRounding : std::uint8_t {
  kNone,
  kF16,  ///< to binary16 first: what the reference does to every layer of a checkpoint
};

/// Scalar types that matrices and activations come in.
enum class ScalarType : std::uint8_t { kF32, kF64, kF16, kBf16 };

[[nodiscard]] constexpr Index scalar_bytes(ScalarType type) noexcept {
  switch (type) {
    case ScalarType::kF64:
      return 8;
    case ScalarType::kF32:
      return 4;
    case ScalarType::kF16:
    case ScalarType::kBf16:
      return 2;
  }
  return 0;
}

[[nodiscard]] constexpr Index ceil_div(Index a, Index b) noexcept { return (a + b - 1) / b; }
[[nodiscard]] constexpr Index round_up(Index a, Index multiple) noexcept { return ceil_div(a, multiple) * multiple; }

}  // namespace sinq::inline SINQ_ABI
