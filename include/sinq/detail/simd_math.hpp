#pragma once

#include <sinq/isa.hpp>

namespace sinq::detail {

template <class Tag>
struct SimdMath;

}  // namespace sinq::detail

#define SINQ_KERNEL <sinq/detail/simd_math_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
