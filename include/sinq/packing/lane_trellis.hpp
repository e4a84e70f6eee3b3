#pragma once

#include <sinq/types.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace sinq::inline SINQ_ABI {

/// The lane trellis (include/sinq/README.md, "Lane trellis"): every byte lane of a cache line has a bit stream of its
/// own, and the level of a weight follows from the twelve bits of it that end with the weight's own. Rows come in
/// panels of 128: lane 4 * (row % 16) + column % 4 holds, one *step* each, the weights of eight blocks of 16 rows for
/// every quad of columns. (Windows of a bit stream as codes: QTIP, arXiv 2406.11235; streams that cross no SIMD lane
/// and levels from tables of 16 entries are this library's.)
struct TrellisGeometry {
  static constexpr Index kPanelRows = 128;
  static constexpr Index kLineBytes = 64;  ///< one byte for each lane
  static constexpr Index kLaneRows = 16;   ///< lanes are 16 rows x 4 columns
  static constexpr Index kLaneCols = 4;
  static constexpr Index kStepsPerQuad = kPanelRows / kLaneRows;
  /// Columns of a block of lines: their 32 steps are whole bytes of a lane at every rate, and as many lines as a weight
  /// has quarters of a bit.
  static constexpr Index kBlockCols = 16;
  static constexpr Index kBlockSteps = kBlockCols / kLaneCols * kStepsPerQuad;
  static constexpr int kWindowBits = 12;
  static constexpr int kStates = 1 << kWindowBits;
  /// 1.5 to 4.5 bits: below, a step would have less than one bit; above, scalar codes are as good.
  static constexpr int kMinQuarterBits = 6;
  static constexpr int kMaxQuarterBits = 18;

  Index rows = 0;
  Index cols = 0;
  int quarter_bits = 8;  ///< the rate, in quarters of a bit per weight

  [[nodiscard]] constexpr Index panels() const noexcept { return ceil_div(rows, kPanelRows); }
  [[nodiscard]] constexpr Index blocks() const noexcept { return ceil_div(cols, kBlockCols); }  ///< of a panel
  [[nodiscard]] constexpr Index block_bytes() const noexcept { return quarter_bits * kLineBytes; }
  [[nodiscard]] constexpr Index panel_lines() const noexcept { return blocks() * quarter_bits; }
  [[nodiscard]] constexpr Index panel_bytes() const noexcept { return panel_lines() * kLineBytes; }
  /// Codes of the whole matrix; rows and columns behind its end are padded.
  [[nodiscard]] constexpr Index bytes() const noexcept { return panels() * panel_bytes(); }
  /// Steps of a lane in one panel.
  [[nodiscard]] constexpr Index steps() const noexcept { return blocks() * kBlockSteps; }

  [[nodiscard]] static constexpr Index step_of(Index row, Index col) noexcept {
    return col / kLaneCols * kStepsPerQuad + row % kPanelRows / kLaneRows;
  }
  [[nodiscard]] static constexpr Index lane_of(Index row, Index col) noexcept {
    return row % kLaneRows * kLaneCols + col % kLaneCols;
  }
  /// The bit of its lane's stream behind the last one of a step: 2.5 bits take turns of 2 and 3.
  [[nodiscard]] constexpr Index step_end(Index step) const noexcept { return (step + 1) * quarter_bits / 4; }
  /// Bits of a step of its own; the rest of its window are those before.
  [[nodiscard]] constexpr int step_bits(Index step) const noexcept {
    return static_cast<int>(step_end(step) - step_end(step - 1));
  }

  /// The window of a step: the twelve bits of the lane that end with its own, the last one lowest. Bit i of a lane is
  /// bit 7 - i % 8 of its byte in line i / 8, and before the first comes the last of the panel. `panel` has
  /// [panel_bytes].
  [[nodiscard]] constexpr std::uint32_t window(const std::uint8_t* panel, Index lane, Index step) const noexcept {
    const Index last = step_end(step) - 1;
    const Index line = last / 8;
    std::uint32_t bytes = 0;
    for (Index back = 2; back >= 0; --back) {
      const Index at = line >= back ? line - back : line - back + panel_lines();
      bytes = bytes << 8 | panel[at * kLineBytes + lane];
    }
    return bytes >> (7 - last % 8) & (kStates - 1);
  }

  /// Writes a block of lines [block_bytes] from the windows [32][64] of its steps, whose own bits are all that counts.
  constexpr void write_block(const std::uint16_t* windows, std::uint8_t* block) const noexcept {
    for (Index lane = 0; lane < kLineBytes; ++lane) {
      std::uint32_t bits = 0;
      int held = 0;
      std::uint8_t* out = block + lane;
      for (Index step = 0; step < kBlockSteps; ++step) {
        const int own = step_bits(step);
        bits = bits << own | (windows[step * kLineBytes + lane] & ((1U << own) - 1U));
        held += own;
        if (held < 8) continue;
        held -= 8;
        *out = static_cast<std::uint8_t>(bits >> held);
        out += kLineBytes;
      }
    }
  }
};

/// Three tables of 16 learned levels; every sum of three fits [-127, 127].
struct TrellisTables {
  static constexpr int kEntries = 16;
  static constexpr Index kBytes = 3 * kEntries;

  std::array<std::int8_t, kEntries> a = {}, b = {}, c = {};

  friend bool operator==(const TrellisTables&, const TrellisTables&) = default;

  /// Which entries of the three tables a window asks for: A[n0 ^ n2], B[m ^ n2], C[n0 ^ n1 ^ n2] with its nibbles n0
  /// (the lowest), n1, n2, and m its bits 2..5. (Found among some hundreds of mixtures: 12 bits of which each decides
  /// about as much as in a table of 4096 levels of their own, which is 1.5 to 6% better.)
  [[nodiscard]] static constexpr std::array<std::uint32_t, 3> entries(std::uint32_t window) noexcept {
    const std::uint32_t n0 = window & 15U, n1 = window >> 4 & 15U, n2 = window >> 8 & 15U, m = window >> 2 & 15U;
    return {n0 ^ n2, m ^ n2, n0 ^ n1 ^ n2};
  }
  /// The level that a window stands for: the sum of its three entries.
  [[nodiscard]] constexpr int level(std::uint32_t window) const noexcept {
    const auto [i, j, k] = entries(window);
    return a[i] + b[j] + c[k];
  }
  /// As they are stored: A, B, C.
  [[nodiscard]] std::span<const std::int8_t> bytes() const noexcept {
    static_assert(sizeof(TrellisTables) == kBytes);
    return {reinterpret_cast<const std::int8_t*>(this), static_cast<std::size_t>(kBytes)};
  }
};

}  // namespace sinq::inline SINQ_ABI
