#pragma once

#include <sinq/kernels/panel_aux.hpp>
#include <sinq/kernels/panel_matvec.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/unit_decoder.hpp>
#include <sinq/packing/unpack_codes.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Room for a block of codes of 16 rows, one byte each in quads [quad][16 rows][4], that starts inside a unit.
inline constexpr Index kTileBytes = (kMaxBlockCols + kUnitCols) * kPanelRows;

/// What the bytes of a tile stand for.
struct TileFormat {
  LevelAffine affine;    ///< from what is multiplied, bytes or entries of a table, to levels
  Index entries = 0;     ///< of the table that bytes are looked up in; 0: they are multiplied as they are
  bool is_wide = false;  ///< bytes beyond 127

  /// Levels that are whole numbers become bytes themselves, level + kLevelZero.
  TileFormat(const Layout& layout, const LevelTable& table) noexcept
      : affine(table.affine), entries(layout.level_count), is_wide(layout.bits == 8) {
    if (level_type(layout) == LevelType::kF32) return;
    affine = {1.0F, static_cast<float>(-kLevelZero)};
    entries = 0;
    is_wide = true;
  }
};

/// Stored row of the window's row 0.
[[nodiscard]] inline Index first_stored_row(const QuantizedView& view) noexcept { return view.row_range().begin; }
[[nodiscard]] inline Index first_stored_row(const RepackedView&) noexcept { return 0; }

/// Aux of a panel of stored rows, so that 16 values of each kind may be read.
[[nodiscard]] inline PanelAux readable_aux(const RepackedView& view, Index panel, Index group, PaddedAux&) noexcept {
  return panel_aux(view, panel, group);
}
[[nodiscard]] inline PanelAux readable_aux(const QuantizedView& view, Index panel, Index group,
                                           PaddedAux& padded) noexcept {
  const Index rows = panel_row_count(view.layout().rows, panel);
  const PanelAux aux = panel_aux(view, panel, group);
  return rows == kPanelRows ? aux : padded.pad(aux, rows);
}

/// Bytes of scalar codes of stored row `row` from column `col` of the window on.
[[nodiscard]] inline const std::uint8_t* codes_at(const QuantizedView& view, Index row, Index col) noexcept {
  return view.code_regions().codes + ScalarCodes(view.layout()).code_offset(row, view.col_range().begin + col);
}
/// Bytes from there to the end of the stored row.
[[nodiscard]] inline Index codes_left(const QuantizedView& view, Index col) noexcept {
  const ScalarCodes codes(view.layout());
  return codes.row_bytes() - codes.bytes_before(view.col_range().begin + col);
}

template <class Tag>
struct TileDecoder;
template <class Tag>
struct TileMultiply;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/tile_decoder_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
#define SINQ_KERNEL <sinq/kernels/tile_multiply_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
