#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/packing/trellis_lines.hpp>
#include <sinq/packing/trellis_lookup.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// Bytes of the levels of one block of lines.
inline constexpr Index kTrellisBlockLevels = TrellisGeometry::kBlockSteps * TrellisGeometry::kLineBytes;

/// The fast form of `TrellisGeometry::window` and `TrellisTables::level`: one byte for each weight, with one loop for
/// all rates.
template <class Tag>
struct TrellisDecoder;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/trellis_decoder_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
