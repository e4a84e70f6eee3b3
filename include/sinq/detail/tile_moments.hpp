#pragma once

#include <sinq/isa.hpp>
#include <sinq/tile.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Rows summed in float before the double totals take over: keeps the error of a column sum near one part in 10^7, and
/// 64 columns of them in the first cache's reach.
inline constexpr Index kMomentRows = 128;

/// A tile times its inverse column factors.
template <class Tag>
struct ScaledTileReader;

/// Takes the moments of a stream of rows. `Reader` says where a vector comes from: it has
///   panel<N>(first column, F (&factors)[N])   factors of N vectors of columns, kept in registers
///   row(r)                                    a handle of row r
///   at(handle, column, factor)                the vector there
template <class Tag>
struct MomentKernel;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/tile_moments_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
