#pragma once

#include <sinq/quantizers/group_kernels.hpp>
#include <sinq/types.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// The levels that a fit may use: lowest .. highest in whole steps, or a table of 2^bits of them.
struct FitGrid {
  float lowest = 0.0F, highest = 0.0F;
  const float* levels = nullptr;     ///< ascending, room for 16
  const float* midpoints = nullptr;  ///< between neighbours, room for 16; +inf above the last
  int bits = 0;
};

/// How long and where a fit searches.
struct FitPlan {
  const float* clips = nullptr;  ///< fractions of the range to start from
  int starts = 0;
  int rounds = 0;  ///< least-squares refinements of each start
  float least_scale = 0.0F;
  Symmetry symmetry = Symmetry::kAsymmetric;
  float shared_zero_point = 0.0F;                ///< symmetric: the level of zero
  float reach_above = 1.0F, reach_below = 1.0F;  ///< symmetric: levels from zero to the ends of the range
  const float* col_weights = nullptr;            ///< [count] importance of each column's error; null: all alike
};

/// The search of `Fitted` and of learned codebooks. Sources: ggml's k-quant fits and NeUQI (arXiv 2505.17595) for the
/// idea of searching range and real zero point together.
template <class Tag>
struct LeastSquares;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/quantizers/least_squares_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
