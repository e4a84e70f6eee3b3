#pragma once

#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/tile.hpp>
#include <sinq/kernels/trellis_source.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct TrellisMatmul;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/trellis_matmul_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
