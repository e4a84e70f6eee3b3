#pragma once

#include <sinq/isa.hpp>
#include <sinq/tile.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct TileApply;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/tile_apply_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
