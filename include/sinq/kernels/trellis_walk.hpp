#pragma once

#include <sinq/packing/trellis_decoder.hpp>

#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Calls f(std::integral_constant<int, quarter_bits>): the rate as a constant.
template <int QuarterBits = TrellisGeometry::kMinQuarterBits, class F>
decltype(auto) with_quarter_bits(int quarter_bits, F f) noexcept {
  if constexpr (QuarterBits < TrellisGeometry::kMaxQuarterBits) {
    if (quarter_bits != QuarterBits) return with_quarter_bits<QuarterBits + 1>(quarter_bits, f);
  }
  return f(std::integral_constant<int, QuarterBits>{});
}

/// The same levels as TrellisDecoder's, up to twice as fast: a loop for each rate, which only programs that multiply
/// compile.
template <class Tag>
struct TrellisWalk;
template <>
struct TrellisWalk<isa::Portable> : TrellisDecoder<isa::Portable> {};

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/trellis_walk_kernel.hpp>
#define SINQ_VECTORS_ONLY
#include <sinq/detail/for_each_isa.hpp>
