#pragma once

#include <sinq/isa.hpp>
#include <sinq/quantizers/division.hpp>
#include <sinq/tile.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Least, greatest and sum of a group, per row.
struct GroupStats {
  float* low = nullptr;
  float* high = nullptr;
  float* sum = nullptr;
};

/// What the built-in quantizers share.
template <class Tag>
struct GroupKernels;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/quantizers/group_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Calls f(params index of row 0, count of columns, stats) for every group of columns of `tile`.
template <class F>
void for_each_group_stats(const TileView& tile, Index group_size, Scratch& scratch, Isa limit, F&& f) {
  const Index padded = round_up(tile.rows, kTileStride);
  float* memory = scratch.floats(3 * padded);
  const GroupStats stats{memory, memory + padded, memory + 2 * padded};
  for (Index g = 0, c = 0; c < tile.cols; ++g, c += group_size) {
    const Index count = c + group_size < tile.cols ? group_size : tile.cols - c;
    dispatch(limit, [&](auto tag) { GroupKernels<decltype(tag)>::stats(tile, c, count, stats); });
    f(g, count, stats);
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
