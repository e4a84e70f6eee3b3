#pragma once

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
        values_(reinterpret_cast<const std::uint8_t*>(view.region(Region::kGroupScale))),
        value_stride_(sinq::aux_bytes(view.layout().aux, view.layout().rows)) {}

  /// Levels of columns [first, first + count) of the window, from a block of lines on and at most kTrellisPieceCols:
  /// levels[quad][8 blocks of 16 rows][64 lanes]. `panel` counts stored rows.
  template <class Tag>
  void decode(Index panel, Index first, Index count, std::uint8_t* levels) const noexcept {
    const std::uint8_t* const codes = view_.code_regions().codes + panel * geometry_.panel_bytes();
    const Index block = (view_.col_range().begin + first) / Geometry::kBlockCols;
    const Index blocks = ceil_div(count, Geometry::kBlockCols);
    fetch_codes(codes + block * geometry_.block_bytes(), blocks * geometry_.block_bytes());
    TrellisDecoder<Tag>::run(geometry_, codes, block, blocks, lookup_, levels);
  }

  /// Scales of group `group` of the window: out[kTrellisRows]; zeros behind the matrix's last row.
  template <class Tag>
  void scales(Index panel, Index group, float* out) const noexcept {
    constexpr Index kPanels = kTrellisRows / kPanelRows;
    const Layout& layout = view_.layout();
    fetch_scales(panel, group);
    PanelAux aux = panel_aux(view_, panel * kPanels, group);
    const Index rows = std::min(layout.rows - panel * kTrellisRows, kTrellisRows);
    Padded padded;
    if (rows < kTrellisRows) padded.pad(aux, rows);
    aux.value_stride = sinq::aux_bytes(layout.aux, kPanelRows);
    aux.block_stride = Index{sizeof(AuxBlock)};
    aux.block_share = kAuxBlockRows / kPanelRows;
    PanelAffine<Tag>::run(aux, kPanels, {}, out, nullptr);
  }

 private:
  static constexpr Index kFarAhead = 12288;  // as UnitDecoder's
  static constexpr Index kAhead = 2048;
  /// Groups whose scales are on their way: those of a group lie a row of all scales apart.
  static constexpr Index kGroupsAhead = 2;

  struct Padded {
    alignas(64) std::byte values[kTrellisRows * sizeof(float)];
    std::byte blocks[kTrellisRows / kAuxBlockRows * sizeof(AuxBlock)];

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

  /// An address, not a pointer into the matrix: it may lie behind its end. `Locality`: 3 for the first cache, 2 for the
  /// second.
  template <int Locality>
  static void fetch(std::uintptr_t address) noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(reinterpret_cast<const void*>(address), 0, Locality);
#else
    static_cast<void>(address);
#endif
  }
  static void fetch_codes(const std::uint8_t* codes, Index bytes) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(codes);
    for (Index i = 0; i < bytes; i += kLineBytes) {
      fetch<2>(address + static_cast<std::uintptr_t>(i + kFarAhead));
      fetch<3>(address + static_cast<std::uintptr_t>(i + kAhead));
    }
  }
  void fetch_scales(Index panel, Index group) const noexcept {
    Index next = group + kGroupsAhead;
    if (next >= view_.groups()) {
      next -= view_.groups();
      ++panel;
    }
    const Index bytes = sinq::aux_bytes(view_.layout().aux, kTrellisRows);
    const auto address = reinterpret_cast<std::uintptr_t>(values_) +
                         static_cast<std::uintptr_t>((view_.first_group() + next) * value_stride_ + panel * bytes);
    for (Index i = 0; i < bytes; i += kLineBytes) fetch<3>(address + static_cast<std::uintptr_t>(i));
  }

  QuantizedView view_;
  Geometry geometry_;
  TrellisLookup lookup_;
  const std::uint8_t* values_;
  Index value_stride_;
};

}  // namespace sinq::inline SINQ_ABI::detail
