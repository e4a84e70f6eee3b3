#pragma once

#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// Rows of a panel: one 64-byte line holds a dword for each of them.
inline constexpr Index kPanelRows = 16;
/// Columns of a unit: 32 columns of 16 rows are exactly `bits` lines, whatever the bit width.
inline constexpr Index kUnitCols = 32;
/// Groups of a super-block: their columns are whole units (group sizes are multiples of 8) and their aux whole lines.
inline constexpr Index kSuperGroups = 4;
inline constexpr Index kLineBytes = 64;

/// Whether codes have a row-interleaved order: `repack` refuses the others, which run from the matrix as it is.
[[nodiscard]] constexpr bool can_repack(const Layout& layout) noexcept { return detail::ScalarCodes::holds(layout); }

/// Whether codes have kernels that run at the speed of memory on every instruction set: after `repack`, or as a
/// `TrellisView` (kernels/trellis.hpp) where they are a lane trellis. What has none is multiplied, too, from the matrix
/// as it is, but slowly.
[[nodiscard]] constexpr bool can_run_fast(const Layout& layout) noexcept {
  return can_repack(layout) || detail::TrellisCodes::holds(layout);
}

/// Where things are in the row-interleaved layout that kernels/README.md describes byte by byte.
struct PanelGeometry {
  Index cols = 0;
  Index group_size = 0;
  Index groups = 0;
  Index panels = 0;
  Index super_blocks = 0;
  Index unit_bytes = 0;
  Index aux_row_bytes = 0;  ///< bytes of one kind of aux of one group of a panel
  int aux_kinds = 0;        ///< 1 (scales) or 2 (and offsets)
  Index super_bytes = 0;    ///< of a whole super-block
  Index panel_bytes = 0;

  PanelGeometry() = default;
  explicit PanelGeometry(const Layout& layout) noexcept
      : cols(layout.cols),
        group_size(layout.group_size),
        groups(layout.groups()),
        panels(ceil_div(layout.rows, kPanelRows)),
        unit_bytes(layout.bits * kLineBytes),
        aux_row_bytes(aux_bytes(layout.aux, kPanelRows)),
        aux_kinds(layout.offset == OffsetKind::kShared ? 1 : 2) {
    super_blocks = ceil_div(groups, kSuperGroups);
    super_bytes = code_bytes(0) + aux_bytes_of(0);
    const Index last = super_blocks - 1;
    panel_bytes = last * super_bytes + code_bytes(last) + aux_bytes_of(last);
  }

  [[nodiscard]] Index first_col(Index super) const noexcept { return super * kSuperGroups * group_size; }
  [[nodiscard]] Index col_count(Index super) const noexcept {
    return std::min(cols - first_col(super), kSuperGroups * group_size);
  }
  [[nodiscard]] Index group_count(Index super) const noexcept {
    return std::min(groups - super * kSuperGroups, kSuperGroups);
  }
  [[nodiscard]] Index code_bytes(Index super) const noexcept {
    return ceil_div(col_count(super), kUnitCols) * unit_bytes;
  }
  [[nodiscard]] Index aux_bytes_of(Index super) const noexcept {
    return round_up(group_count(super) * aux_kinds * aux_row_bytes, kLineBytes);
  }
  /// Of a super-block's scales of group `g` (counted within it), from the super-block's start; offsets follow all
  /// scales.
  [[nodiscard]] Index scale_offset(Index super, Index g) const noexcept {
    return code_bytes(super) + g * aux_row_bytes;
  }
  [[nodiscard]] Index offset_offset(Index super, Index g) const noexcept {
    return code_bytes(super) + (group_count(super) + g) * aux_row_bytes;
  }
};

/// The regions of a row-interleaved matrix, in the order of storage.
enum class PanelRegion : std::uint8_t {
  kPanels,     ///< [panels][super_blocks]{codes, group scales, offsets}
  kAuxBlocks,  ///< [ceil(rows / 64)][groups]{AuxBlock of scales, AuxBlock of offsets}, 8- and 6-bit aux only
  kColScale,   ///< [row_blocks][cols]
  kLevels,     ///< [level_count] float32
};
inline constexpr int kPanelRegionCount = 4;

[[nodiscard]] inline Index panel_region_bytes(const Layout& layout, PanelRegion region) noexcept {
  switch (region) {
    case PanelRegion::kPanels: {
      const PanelGeometry geometry(layout);
      return geometry.panels * geometry.panel_bytes;
    }
    case PanelRegion::kAuxBlocks:
      return region_bytes(layout, Region::kGroupScaleBlocks) + region_bytes(layout, Region::kOffsetBlocks);
    case PanelRegion::kColScale:
      return region_bytes(layout, Region::kColScale);
    case PanelRegion::kLevels:
      return region_bytes(layout, Region::kLevels);
  }
  return 0;
}

/// Where a region starts in one buffer that holds them all: each on a cache line.
[[nodiscard]] inline Index panel_region_offset(const Layout& layout, PanelRegion region) noexcept {
  Index offset = 0;
  for (int i = 0; i < static_cast<int>(region); ++i) {
    offset += round_up(panel_region_bytes(layout, static_cast<PanelRegion>(i)), kRegionAlignment);
  }
  return offset;
}

/// Bytes of one buffer that holds all regions.
[[nodiscard]] inline Index panel_storage_bytes(const Layout& layout) noexcept {
  return panel_region_offset(layout, PanelRegion::kLevels) +
         round_up(panel_region_bytes(layout, PanelRegion::kLevels), kRegionAlignment);
}

/// Packs 32 columns of one row into its dword of `Bits` lines. quads[q] holds the codes of columns 4q..4q+3, one per
/// byte, the first in the least significant byte.
template <int Bits>
constexpr void pack_unit(const std::uint32_t (&quads)[8], std::uint32_t (&lines)[std::size_t{Bits}]) noexcept {
  for (std::uint32_t& line : lines) line = 0;
  if constexpr (8 % Bits == 0) {
    constexpr int kPerLine = 8 / Bits;
    for (int q = 0; q < 8; ++q) lines[q / kPerLine] |= quads[q] << (Bits * (q % kPerLine));
  } else if constexpr (Bits == 5) {
    for (int q = 0; q < 8; ++q) {
      lines[q / 2] |= (quads[q] & 0x0f0f0f0fU) << (4 * (q % 2));
      lines[4] |= ((quads[q] >> 4) & 0x01010101U) << q;
    }
  } else if constexpr (Bits == 3) {
    std::uint32_t pairs[4];
    for (int k = 0; k < 4; ++k) pairs[k] = quads[2 * k] | (quads[2 * k + 1] << 3);
    for (int k = 0; k < 3; ++k) lines[k] = pairs[k] | (((pairs[3] >> (2 * k)) & 0x03030303U) << 6);
  } else {
    // 6 bits: every fourth quad, 7 bits: the eighth, goes into the spare top bits of the lines of the others.
    constexpr int kLines = Bits == 6 ? 3 : 7;
    constexpr int kSpare = 8 - Bits;
    constexpr std::uint32_t kMask = ((1U << kSpare) - 1U) * 0x01010101U;
    for (int h = 0; h < Bits / kLines; ++h) {
      const std::uint32_t* quad = quads + h * (kLines + 1);
      for (int k = 0; k < kLines; ++k) {
        lines[h * kLines + k] = quad[k] | (((quad[kLines] >> (kSpare * k)) & kMask) << Bits);
      }
    }
  }
}

/// The inverse of `pack_unit`.
template <int Bits>
constexpr void unpack_unit(const std::uint32_t (&lines)[std::size_t{Bits}], std::uint32_t (&quads)[8]) noexcept {
  constexpr std::uint32_t kMask = ((1U << Bits) - 1U) * 0x01010101U;
  if constexpr (8 % Bits == 0) {
    constexpr int kPerLine = 8 / Bits;
    for (int q = 0; q < 8; ++q) quads[q] = (lines[q / kPerLine] >> (Bits * (q % kPerLine))) & kMask;
  } else if constexpr (Bits == 5) {
    for (int q = 0; q < 8; ++q) {
      quads[q] = ((lines[q / 2] >> (4 * (q % 2))) & 0x0f0f0f0fU) | (((lines[4] >> q) & 0x01010101U) << 4);
    }
  } else if constexpr (Bits == 3) {
    std::uint32_t pairs[4] = {lines[0], lines[1], lines[2], 0};
    for (int k = 0; k < 3; ++k) pairs[3] |= ((lines[k] >> 6) & 0x03030303U) << (2 * k);
    for (int q = 0; q < 8; ++q) quads[q] = (pairs[q / 2] >> (3 * (q % 2))) & kMask;
  } else {
    constexpr int kLines = Bits == 6 ? 3 : 7;
    constexpr int kSpare = 8 - Bits;
    constexpr std::uint32_t kSpareMask = ((1U << kSpare) - 1U) * 0x01010101U;
    for (int h = 0; h < Bits / kLines; ++h) {
      std::uint32_t* quad = quads + h * (kLines + 1);
      quad[kLines] = 0;
      for (int k = 0; k < kLines; ++k) {
        quad[k] = lines[h * kLines + k] & kMask;
        quad[kLines] |= ((lines[h * kLines + k] >> Bits) & kSpareMask) << (kSpare * k);
      }
    }
  }
}

}  // namespace sinq::inline SINQ_ABI
