#pragma once

#include <sinq/quantizers/group_kernels.hpp>
#include <sinq/types.hpp>

#include <limits>
#include <vector>

namespace sinq::inline SINQ_ABI::detail {

/// Columns that are worked on together; groups are multiples of it.
inline constexpr Index kFeedCols = 8;
/// Rows that are worked on together, side by side: weights lie [cols][kFeedRows].
inline constexpr Index kFeedRows = 32;

/// What one column of some rows is decoded with: w = level * scale + offset.
struct PanelColumn {
  const float* scale = nullptr;    ///< [kFeedRows]
  const float* inverse = nullptr;  ///< 1 / scale, or 0
  const float* offset = nullptr;
};

/// The levels that codes stand for: 0 .. top, or an ascending table.
struct PanelGrid {
  float top = 0.0F;
  const float* levels = nullptr;     ///< room for 16
  const float* midpoints = nullptr;  ///< between neighbours, room for 16; +inf above the last
  int bits = 0;
};

/// A scale of a group's rows is asked for, w = (level - zero_point) * scale.
struct ScaleQuery {
  Index count = 0;                    ///< columns of the group
  const float* weights = nullptr;     ///< [count][kFeedRows], what the scale that is stored was chosen for
  const float* targets = nullptr;     ///< [count][kFeedRows]
  const float* importance = nullptr;  ///< [count] of squared errors
  const float* zero_point = nullptr;  ///< [kFeedRows]
};

/// The loops of error feedback.
template <class Tag>
struct ErrorFeedback;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/calibration/error_feedback_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
