#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/packing/trellis_lines.hpp>
#include <sinq/packing/trellis_lookup.hpp>

#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Bytes of the levels of one block of lines.
inline constexpr Index kTrellisBlockLevels = TrellisGeometry::kBlockSteps * TrellisGeometry::kLineBytes;

/// Calls f(std::integral_constant<int, quarter_bits>): the rate as a constant.
template <int QuarterBits = TrellisGeometry::kMinQuarterBits, class F>
decltype(auto) with_quarter_bits(int quarter_bits, F f) noexcept {
  if constexpr (QuarterBits < TrellisGeometry::kMaxQuarterBits) {
    if (quarter_bits != QuarterBits) return with_quarter_bits<QuarterBits + 1>(quarter_bits, f);
  }
  return f(std::integral_constant<int, QuarterBits>{});
}

/// The fast form of `TrellisGeometry::window` and `TrellisTables::level`: one byte for each weight.
template <class Tag>
struct TrellisDecoder;

/// Plain C++: the definition.
template <>
struct TrellisDecoder<isa::Portable> {
  /// Levels of all steps of `lines`, in their order: levels[quads][8 blocks of 16 rows][64 lanes].
  static void run(const TrellisLines& lines, const TrellisLookup& tables, std::uint8_t* levels) noexcept {
    constexpr int kLane = 8;
    for (Index step = 0; step < lines.steps; ++step) {
      const Index last = (step + 1) * lines.quarter_bits / 4 - 1;
      for (Index lane = 0; lane < TrellisGeometry::kLineBytes; ++lane) {
        std::uint32_t bytes = 0;
        for (Index back = 2; back >= 0; --back) bytes = bytes << kLane | lines.line(last / kLane - back)[lane];
        *levels++ = tables.level(bytes >> (kLane - 1 - last % kLane) & (TrellisGeometry::kStates - 1));
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/trellis_decoder_kernel.hpp>
#define SINQ_VECTORS_ONLY
#include <sinq/detail/for_each_isa.hpp>
