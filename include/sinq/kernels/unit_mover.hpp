#pragma once

#include <sinq/kernels/panel_format.hpp>
#include <sinq/packing/bit_packing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Copies `count` items of `size` bytes that are `from_stride` and `to_stride` bytes apart.
inline void copy_strided(const std::byte* from, Index from_stride, std::byte* to, Index to_stride, Index count,
                         Index size) noexcept {
  for (Index i = 0; i < count; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, static_cast<std::size_t>(size));
  }
}

[[nodiscard]] constexpr std::uint32_t quad_at(const std::uint8_t* bytes) noexcept {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

/// Moves the codes of one row between a row-major bit stream and the row's dwords in one super-block.
template <int Bits>
struct UnitMover {
  const PanelGeometry& geometry;

  /// `lines` is the super-block's first line, at the row's dword.
  void to_panel(const std::uint8_t* row_codes, Index super, std::byte* lines) const noexcept {
    const Index first = geometry.first_col(super);
    for (Index c = 0; c < geometry.col_count(super); c += kUnitCols, lines += Bits * kLineBytes) {
      const Index n = std::min(kUnitCols, geometry.col_count(super) - c);
      std::uint8_t codes[kUnitCols] = {};
      unpack<Bits>(row_codes + (first + c) * Bits / 8, n, codes);
      std::uint32_t quads[8], dwords[std::size_t{Bits}];
      for (int q = 0; q < 8; ++q) quads[q] = quad_at(codes + 4 * q);
      pack_unit<Bits>(quads, dwords);
      copy_strided(reinterpret_cast<const std::byte*>(dwords), 4, lines, kLineBytes, Bits, 4);
    }
  }
  void to_row(const std::byte* lines, Index super, std::uint8_t* row_codes) const noexcept {
    const Index first = geometry.first_col(super);
    for (Index c = 0; c < geometry.col_count(super); c += kUnitCols, lines += Bits * kLineBytes) {
      const Index n = std::min(kUnitCols, geometry.col_count(super) - c);
      std::uint32_t quads[8], dwords[std::size_t{Bits}];
      copy_strided(lines, kLineBytes, reinterpret_cast<std::byte*>(dwords), 4, Bits, 4);
      unpack_unit<Bits>(dwords, quads);
      std::uint8_t codes[kUnitCols];
      for (int i = 0; i < kUnitCols; ++i) codes[i] = static_cast<std::uint8_t>(quads[i / 4] >> (8 * (i % 4)));
      pack<Bits>(codes, n, row_codes + (first + c) * Bits / 8);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
