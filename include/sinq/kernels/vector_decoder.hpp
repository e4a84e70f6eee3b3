#pragma once

#include <sinq/kernels/dots.hpp>
#include <sinq/kernels/vector_unit.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct VectorDecoder;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/vector_decoder_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
