#pragma once

#include <sinq/kernels/level_table.hpp>
#include <sinq/kernels/panel_aux.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/unit_decoder.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct PanelMatvec;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/panel_matvec_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
