#pragma once

#include <sinq/kernels/tile.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct RowMatvec;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/row_matvec_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
