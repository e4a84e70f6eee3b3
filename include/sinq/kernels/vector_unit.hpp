#pragma once

#include <sinq/kernels/panel_format.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// Where the 32 codes of a row of a vector unit (128 columns) lie in its dwords of `Bits` lines: 32 / Bits codes per
/// dword, from bit 0 up. With 5 and 6 bits that are 30 codes; the last two lie one behind the other in the two top bits
/// of the lines, the lowest bits in the first line.
template <int Bits>
struct VectorUnit {
  static_assert(Bits >= 4 && Bits <= 6);
  static constexpr int kCodes = 32;
  static constexpr int kPerLine = 32 / Bits;
  static constexpr int kWhole = kPerLine * Bits;  ///< codes in one piece
  static constexpr std::uint32_t kMask = (1U << Bits) - 1U;

  static constexpr int line(int code) noexcept { return code / kPerLine; }
  static constexpr int shift(int code) noexcept { return code % kPerLine * Bits; }
  /// How far line `l`'s two top bits move down (the lane's bits 30 and 31) to their place in the split code `code`.
  static constexpr int split_shift(int code, int l) noexcept { return 30 + Bits * (code - kWhole) - 2 * l; }
  /// What of them belongs to that code, once there.
  static constexpr std::uint32_t split_mask(int code, int l) noexcept {
    const int down = split_shift(code, l);
    return down < 24 || down > 31 ? 0U : (0xc0000000U >> down) & kMask;
  }

  static constexpr void pack(const std::uint8_t (&codes)[kCodes], std::uint32_t (&lines)[std::size_t{Bits}]) noexcept {
    for (std::uint32_t& dword : lines) dword = 0;
    for (int i = 0; i < kWhole; ++i) lines[line(i)] |= std::uint32_t{codes[i]} << shift(i);
    for (int i = kWhole; i < kCodes; ++i) {
      for (int l = 0; l < Bits; ++l) lines[l] |= (codes[i] & split_mask(i, l)) << (split_shift(i, l) & 31);
    }
  }
  /// The inverse of `pack`.
  static constexpr void unpack(const std::uint32_t (&lines)[std::size_t{Bits}],
                               std::uint8_t (&codes)[kCodes]) noexcept {
    for (int i = 0; i < kWhole; ++i) codes[i] = static_cast<std::uint8_t>((lines[line(i)] >> shift(i)) & kMask);
    for (int i = kWhole; i < kCodes; ++i) {
      std::uint32_t code = 0;
      for (int l = 0; l < Bits; ++l) code |= (lines[l] >> (split_shift(i, l) & 31)) & split_mask(i, l);
      codes[i] = static_cast<std::uint8_t>(code);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI
