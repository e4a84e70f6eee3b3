#pragma once

#include <sinq/kernels/dots.hpp>
#include <sinq/kernels/panel_format.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct UnitDecoder;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/unit_decoder_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
