#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/packing/lane_trellis.hpp>

#include <array>
#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Bytes of the levels of one block of lines.
inline constexpr Index kTrellisBlockLevels = TrellisGeometry::kBlockSteps * TrellisGeometry::kLineBytes;

/// The tables of a trellis for a decoder: sums of three of its bytes are levels plus `zero`, modulo 256 (0: signed
/// bytes; 128: unsigned ones).
class TrellisLookup {
 public:
  explicit TrellisLookup(const TrellisTables& tables, int zero = 0) noexcept : tables_(tables), zero_(zero) {
    for (std::size_t i = 0; i < TrellisTables::kEntries; ++i) {
      bytes_[i] = static_cast<std::uint8_t>(tables.a[i] + zero);
      bytes_[i + TrellisTables::kEntries] = static_cast<std::uint8_t>(tables.b[i]);
      bytes_[i + 2 * TrellisTables::kEntries] = static_cast<std::uint8_t>(tables.c[i]);
    }
  }
  /// [3][16]: A, B, C.
  [[nodiscard]] const std::uint8_t* bytes() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::uint8_t level(std::uint32_t window) const noexcept {
    return static_cast<std::uint8_t>(tables_.level(window) + zero_);
  }

 private:
  std::array<std::uint8_t, TrellisTables::kBytes> bytes_;
  TrellisTables tables_;
  int zero_;
};

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
