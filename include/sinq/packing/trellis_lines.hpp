#pragma once

#include <sinq/packing/lane_trellis.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// Blocks of lines [first, first + count) of one panel, whose first byte is `codes`, and the lines before them: the
/// panel is a cycle.
class TrellisLines {
  using Geometry = TrellisGeometry;

 public:
  const std::uint8_t* begin = nullptr;
  Index steps = 0;
  int quarter_bits = 0;

  TrellisLines(const Geometry& geometry, const std::uint8_t* codes, Index first, Index count) noexcept
      : begin(codes + first * geometry.block_bytes()),
        steps(count * Geometry::kBlockSteps),
        quarter_bits(geometry.quarter_bits),
        before_(first == 0 ? codes + geometry.panel_bytes() : begin) {}

  /// Line `at` counted from the first one: from -2 on.
  [[nodiscard]] const std::uint8_t* line(Index at) const noexcept {
    return (at < 0 ? before_ : begin) + at * Geometry::kLineBytes;
  }

  /// `count` steps from `step` on: whole blocks of lines.
  [[nodiscard]] TrellisLines part(Index step, Index count) const noexcept {
    TrellisLines out = *this;
    out.begin += step / Geometry::kBlockSteps * quarter_bits * Geometry::kLineBytes;
    out.steps = count;
    if (step != 0) out.before_ = out.begin;
    return out;
  }

 private:
  const std::uint8_t* before_ = nullptr;
};

}  // namespace sinq::inline SINQ_ABI::detail
