#pragma once

#include <sinq/types.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// Sixteen sub-blocks at once, [element][sub-block]: a sub-block is a lane, so nothing is ever summed across lanes.
struct BlockPanel {
  static constexpr Index kLanes = 16;
  static constexpr Index kMaxSize = 32;

  Index size = 0;                          ///< elements per sub-block
  alignas(64) float x[kMaxSize * kLanes];  ///< weights, divided by the power of two `unit` of their block
  alignas(64) float w[kMaxSize * kLanes];  ///< what an error there weighs

  // What `BlockSearch::measure` finds in each sub-block.
  alignas(64) float low[kLanes], high[kLanes];            ///< the least and the greatest x
  alignas(64) float sum[kLanes], x1[kLanes], xx[kLanes];  ///< sums of w, w x, w x^2
};

/// The levels of a format, as the search sees them.
struct BlockGrid {
  float lowest = 0.0F, highest = 0.0F;
  const float* levels = nullptr;     ///< a table of 16, or null: every whole number from lowest to highest
  const float* midpoints = nullptr;  ///< between them, [15]; +inf behind
};

/// One number per lane.
using BlockLanes = float[BlockPanel::kLanes];

/// What a fit finds: w ~ scale * level + offset.
struct BlockFit {
  alignas(64) BlockLanes scale, offset;
};

/// Sub-blocks as a format stores them: w ~ (scale * scale_code) * level - min * min_code.
struct BlockStored {
  alignas(64) BlockLanes scale, min;            ///< of the block, as binary16 gives them
  alignas(64) BlockLanes scale_code, min_code;  ///< of the sub-block
};

/// What a sub-block says about its block: error, and the sums of the least-squares problem of scale and minimum.
struct BlockSums {
  alignas(64) BlockLanes error;      ///< sum w (x - x')^2
  alignas(64) BlockLanes qq, q, qx;  ///< sums of w level^2, w level, w level x
};

/// The ranges of codes and how far from the present ones to look.
struct BlockCodeRange {
  float least_scale = 1.0F, greatest_scale = 1.0F, scale_reach = 0.0F;
  float least_min = 0.0F, greatest_min = 0.0F, min_reach = 0.0F;
};

/// Where a fit of scales starts: the range of a sub-block takes the grid's `top` levels and `first`, first + step ...
/// more.
struct BlockStarts {
  float top = 0.0F;
  float first = 0.0F, step = 0.0F;
  int count = 0;
  int rounds = 0;  ///< of alternating nearest levels and least squares after the best start

  /// The part of the range that the levels span in start k.
  [[nodiscard]] float clip(int k) const noexcept { return top / (top + first + step * static_cast<float>(k)); }
};

template <class Tag>
struct BlockSearch;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/block_formats/block_search_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
