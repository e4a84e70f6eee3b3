#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/packing/trellis_lookup.hpp>

#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Bytes of the levels of one block of lines.
inline constexpr Index kTrellisBlockLevels = TrellisGeometry::kBlockSteps * TrellisGeometry::kLineBytes;

/// The fast form of `TrellisGeometry::window` and `TrellisTables::level`: one byte for each weight.
template <class Tag>
struct TrellisDecoder;

/// Plain C++: the definition.
template <>
struct TrellisDecoder<isa::Portable> {
  /// Levels of the blocks of lines [first, first + count) of one panel, whose first byte is `panel`, in the order of
  /// their steps: levels[4 * count quads][8 blocks of 16 rows][64 lanes].
  static void run(const TrellisGeometry& geometry, const std::uint8_t* panel, Index first, Index count,
                  const TrellisLookup& tables, std::uint8_t* levels) noexcept {
    const Index end = (first + count) * TrellisGeometry::kBlockSteps;
    for (Index step = first * TrellisGeometry::kBlockSteps; step < end; ++step) {
      for (Index lane = 0; lane < TrellisGeometry::kLineBytes; ++lane) {
        *levels++ = tables.level(geometry.window(panel, lane, step));
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/trellis_decoder_kernel.hpp>
#define SINQ_VECTORS_ONLY
#include <sinq/detail/for_each_isa.hpp>
