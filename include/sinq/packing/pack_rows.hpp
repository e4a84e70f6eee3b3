#pragma once

#include <sinq/isa.hpp>
#include <sinq/packing/bit_packing.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// The fast form of `pack` and `unpack`: the same bytes.
template <class Tag>
struct PackRows;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/pack_rows_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
