#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/packing/lane_trellis.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// The fast form of `TrellisGeometry::window` and `TrellisTables::level`: blocks of lines to levels, one byte each.
template <class Tag>
struct TrellisDecoder;

/// Bytes of the levels of one block of lines.
inline constexpr Index kTrellisBlockLevels = TrellisGeometry::kBlockSteps * TrellisGeometry::kLineBytes;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/trellis_decoder_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
