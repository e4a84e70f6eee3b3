#pragma once

#include <sinq/quantizers/group_kernels.hpp>
#include <sinq/types.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// The table of a vector codebook: magnitudes of `dim` neighbours.
struct VectorTable {
  const float* values = nullptr;  ///< [entries][dim]
  Index entries = 0;
  int dim = 0;
};

/// Where the scale of a group is searched.
struct VectorPlan {
  const float* starts = nullptr;  ///< multiples of the group's rms over the table's
  int start_count = 0;
  int rounds = 0;     ///< least-squares refinements of each start
  float unit = 1.0F;  ///< rms of a group over the scale that suits it
};

/// Floats of working memory for a group of `count` columns.
[[nodiscard]] inline Index vector_search_floats(const VectorTable& table, Index count) noexcept {
  const Index padded = round_up(count, table.dim);
  return padded * (kTileStride + 1) + padded / table.dim * table.entries;
}

/// The search of `VectorCodebook`.
template <class Tag>
struct VectorSearch;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/quantizers/vector_search_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
