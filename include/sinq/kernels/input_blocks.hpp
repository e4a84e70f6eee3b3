#pragma once

#include <sinq/types.hpp>

#include <algorithm>

namespace sinq::inline SINQ_ABI {

/// Columns that share one activation scale: a group, or 256 columns of a longer one. 256 columns keep every integer sum
/// of 8-bit codes with 15-bit activations below 2^31.
inline constexpr Index kMaxBlockCols = 256;

/// How the columns of a matrix are cut into blocks that lie within one group each.
struct InputBlocks {
  Index cols = 0;
  Index group_size = 0;
  Index per_group = 0;  ///< blocks of a whole group
  Index count = 0;
  Index stride = 0;  ///< columns from one block's activations to the next: whole 64-byte vectors, zeros at the end

  InputBlocks() = default;
  InputBlocks(Index matrix_cols, Index matrix_group_size) noexcept
      : cols(matrix_cols), group_size(std::min(matrix_group_size, matrix_cols)) {
    per_group = ceil_div(group_size, kMaxBlockCols);
    const Index groups = ceil_div(cols, group_size);
    const Index last = cols - (groups - 1) * group_size;
    count = (groups - 1) * per_group + ceil_div(last, kMaxBlockCols);
    stride = round_up(std::min(group_size, kMaxBlockCols), 64);
  }
  friend bool operator==(const InputBlocks&, const InputBlocks&) = default;

  [[nodiscard]] Index group(Index block) const noexcept { return block / per_group; }
  [[nodiscard]] Index first_col(Index block) const noexcept {
    return block / per_group * group_size + block % per_group * kMaxBlockCols;
  }
  [[nodiscard]] Index col_count(Index block) const noexcept {
    const Index group_end = std::min((block / per_group + 1) * group_size, cols);
    return std::min(group_end - first_col(block), kMaxBlockCols);
  }
};

}  // namespace sinq::inline SINQ_ABI
