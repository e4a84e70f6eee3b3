#pragma once

#include <sinq/kernels/input_blocks.hpp>
#include <sinq/kernels/panel_aux.hpp>
#include <sinq/packing/trellis_codes.hpp>
#include <sinq/packing/trellis_decoder.hpp>
#include <sinq/quantized_matrix.hpp>

#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Rows that are decoded and multiplied together.
inline constexpr Index kTrellisRows = TrellisGeometry::kPanelRows;
/// Columns whose levels are decoded at once: a few blocks of lines, 8 KiB.
inline constexpr Index kTrellisPieceCols = 4 * TrellisGeometry::kBlockCols;
/// Bytes of the levels of one quad of columns: 8 blocks of 16 rows.
inline constexpr Index kTrellisQuadLevels = TrellisGeometry::kStepsPerQuad * TrellisGeometry::kLineBytes;

inline constexpr Index kTrellisPieceSteps =
    kTrellisPieceCols / TrellisGeometry::kLaneCols * TrellisGeometry::kStepsPerQuad;

/// Calls f(group, block, first column, columns) for all blocks of activations.
template <class Function>
void for_each_trellis_block(const InputBlocks& blocks, Function f) noexcept {
  Index block = 0;
  for (Index group = 0, begin = 0; begin < blocks.cols; ++group, begin += blocks.group_size) {
    const Index end = std::min(begin + blocks.group_size, blocks.cols);
    for (Index first = begin; first < end; first += kMaxBlockCols, ++block) {
      f(group, block, first, std::min(end - first, kMaxBlockCols));
    }
  }
}

/// A matrix of the lane trellis as its kernels read it: the codes as they are stored, decoded piece by piece, and the
/// scales of a group.
class TrellisSource {
  using Geometry = TrellisGeometry;

 public:
  /// `zero`: of the levels, as in TrellisLookup.
  TrellisSource(const QuantizedView& view, int zero) noexcept
      : view_(view),
        geometry_(TrellisCodes(view.layout()).geometry()),
        lookup_(TrellisCodes::tables(view.code_regions().levels), zero),
        groups_(view.groups()),
        first_group_(view.first_group()),
        group_bytes_(sinq::aux_bytes(view.layout().aux, view.layout().rows)),
        panel_bytes_(sinq::aux_bytes(view.layout().aux, kTrellisRows)),
        group_blocks_(aux_blocks(view.layout().rows)) {
    // PanelAffine takes the panel's blocks of 16 rows for groups.
    scales_.format = view.layout().aux;
    scales_.scales = view.region(Region::kGroupScale);
    if (has_aux_blocks(scales_.format)) scales_.scale_block = view.region(Region::kGroupScaleBlocks);
    scales_.value_stride = sinq::aux_bytes(scales_.format, kPanelRows);
    scales_.block_stride = Index{sizeof(AuxBlock)};
    scales_.block_share = kAuxBlockRows / kPanelRows;
  }

  [[nodiscard]] const Geometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] const TrellisLookup& lookup() const noexcept { return lookup_; }
  /// Codes of columns [first, first + count) of the window, from a block of lines on. `panel` counts stored rows.
  [[nodiscard]] TrellisLines lines(Index panel, Index first, Index count) const noexcept {
    const Index block = (view_.col_range().begin + first) / Geometry::kBlockCols;
    return {geometry_, view_.code_regions().codes + panel * geometry_.panel_bytes(), block,
            ceil_div(count, Geometry::kBlockCols)};
  }

  /// Scales of group `group` of the window: out[kTrellisRows]; zeros behind the matrix's last row.
  template <class Tag>
  void scales(Index panel, Index group, float* out) const noexcept {
    fetch_scales(panel, group);
    PanelAux aux = scales_;
    aux.scales += (first_group_ + group) * group_bytes_ + panel * panel_bytes_;
    if (aux.scale_block != nullptr) {
      aux.scale_block += ((first_group_ + group) * group_blocks_ + panel * kPanelBlocks) * aux.block_stride;
    }
    const Index rows = std::min(geometry_.rows - panel * kTrellisRows, kTrellisRows);
    Padded padded;
    if (rows < kTrellisRows) padded.pad(aux, rows);
    PanelAffine<Tag>::run(aux, kTrellisRows / kPanelRows, {}, out, nullptr);
  }

 private:
  /// Groups whose scales are on their way: those of a group lie a row of all scales apart.
  static constexpr Index kGroupsAhead = 2;
  static constexpr Index kPanelBlocks = kTrellisRows / kAuxBlockRows;

  struct Padded {
    alignas(64) std::byte values[kTrellisRows * sizeof(float)];
    std::byte blocks[kPanelBlocks * sizeof(AuxBlock)];

    void pad(PanelAux& aux, Index rows) noexcept {
      const auto size = static_cast<std::size_t>(sinq::aux_bytes(aux.format, rows));
      std::memset(values, 0, sizeof values);
      std::memcpy(values, aux.scales, size);
      aux.scales = values;
      if (aux.scale_block == nullptr) return;
      std::memset(blocks, 0, sizeof blocks);
      std::memcpy(blocks, aux.scale_block, static_cast<std::size_t>(aux_blocks(rows)) * sizeof(AuxBlock));
      aux.scale_block = blocks;
    }
  };

  void fetch_scales(Index panel, Index group) const noexcept {
    Index next = group + kGroupsAhead;
    if (next >= groups_) {
      next -= groups_;
      ++panel;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(scales_.scales) +
                         static_cast<std::uintptr_t>((first_group_ + next) * group_bytes_ + panel * panel_bytes_);
    // Addresses, not pointers into the matrix: they may lie behind its end.
    for (Index i = 0; i < panel_bytes_; i += kLineBytes) {
#if defined(__GNUC__)
      __builtin_prefetch(reinterpret_cast<const void*>(address + static_cast<std::uintptr_t>(i)), 0, 3);
#endif
    }
  }

  QuantizedView view_;
  Geometry geometry_;
  TrellisLookup lookup_;
  Index groups_;
  Index first_group_;
  Index group_bytes_;   ///< of the scales of one group
  Index panel_bytes_;   ///< of those, for the rows of one panel
  Index group_blocks_;  ///< parameters of 8- and 6-bit scales of one group
  PanelAux scales_;     ///< of the stored matrix's first group and panel
};

}  // namespace sinq::inline SINQ_ABI::detail
