#pragma once

#include <sinq/isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct SimdMath;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/simd_math_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
