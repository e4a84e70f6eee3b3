#pragma once

#include <sinq/error.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace sinq::inline SINQ_ABI::detail {

/// What of a matrix, or of a window of it, enters the activations that are prepared for it. A *plane* is the
/// activations as one row block sees them.
struct InputFactors {
  Index rows = 0;
  Index cols = 0;
  Index group_size = 0;  ///< at most cols
  Index planes = 0;
  Index row_block = 0;  ///< rows of a plane
  Index first_row = 0;  ///< of the window, within its first row block
  AuxFormat format = AuxFormat::kF16;
  const std::byte* col_scales = nullptr;  ///< from the window's first row block and column on; null: all are 1
  Index plane_stride = 0;                 ///< bytes from the column scales of one row block to the next
  float matrix_scale = 1.0F;
  const float* levels = nullptr;  ///< [level_count] of scalar codes, or null
  Index level_count = 0;

  InputFactors() = default;
  explicit InputFactors(const QuantizedView& view)
      : InputFactors(view.layout(), view.row_range(), view.col_range(), view.region(Region::kColScale), view.levels()) {
  }
  explicit InputFactors(const RepackedView& view)
      : InputFactors(view.layout(), {0, view.rows()}, {0, view.cols()}, view.region(PanelRegion::kColScale),
                     view.levels()) {}

  /// Rows of the window that plane `plane` is for.
  [[nodiscard]] RowRange plane_rows(Index plane) const noexcept {
    if (planes == 1) return {0, rows};
    return {std::max(Index{0}, plane * row_block - first_row), std::min(rows, (plane + 1) * row_block - first_row)};
  }
  /// Of row `row` of the window.
  [[nodiscard]] Index plane_of(Index row) const noexcept { return planes == 1 ? 0 : (first_row + row) / row_block; }
  [[nodiscard]] const std::byte* plane_scales(Index plane) const noexcept {
    return col_scales == nullptr ? nullptr : col_scales + plane * plane_stride;
  }
  /// Bytes of the column scales of one plane.
  [[nodiscard]] Index plane_bytes() const noexcept { return col_scales == nullptr ? 0 : aux_bytes(format, cols); }

 private:
  InputFactors(const Layout& layout, RowRange range, ColRange window, const std::byte* scales, const float* table)
      : rows(range.size()),
        cols(window.size()),
        group_size(std::min(layout.group_size, window.size())),
        planes(1),
        row_block(layout.row_block),
        format(layout.col_scale_format()),
        matrix_scale(layout.matrix_scale),
        levels(table),
        level_count(table == nullptr ? 0 : layout.level_count) {
    if (rows < 1) SINQ_THROW(Errc::kBadShape, "ScaledInput: the matrix has no rows: it was never assigned");
    if (layout.col_scale == ColScaleKind::kNone) return;
    const Index first = range.begin / row_block;
    first_row = range.begin - first * row_block;
    planes = (range.end - 1) / row_block - first + 1;
    plane_stride = aux_bytes(format, layout.cols);
    col_scales = scales + aux_bytes(format, first * layout.cols + window.begin);
  }
};

/// Throws kBadShape, in the name of `call`, unless rows `rows` of a matrix with factors `wanted` take activations that
/// were prepared with `own`: one comparison each, and of a plane's column scales as large a part as these rows are of
/// its rows (at least 64 bytes), so that all rows together compare every byte, at no cost that splitting them would
/// multiply.
inline void require_same(std::string_view call, const InputFactors& own, const InputFactors& wanted, RowRange rows) {
  const auto refuse = [call](const auto&... parts) {
    SINQ_THROW(Errc::kBadShape, text(call, ": x was assigned for another matrix: ", parts...,
                                     "; assign it for this one, or quantize both as one matrix"));
  };
  if (own.cols != wanted.cols) refuse("it has ", own.cols, " columns, this one ", wanted.cols);
  if (own.group_size != wanted.group_size) {
    refuse("its groups have ", own.group_size, " columns, those of this one ", wanted.group_size);
  }
  if (own.planes != wanted.planes) refuse("it has ", own.planes, " row blocks, this one ", wanted.planes);
  if (own.planes > 1 && (own.row_block != wanted.row_block || own.first_row != wanted.first_row)) {
    refuse("its row blocks have ", own.row_block, " rows, those of this one ", wanted.row_block, ", and it starts ",
           own.first_row, " rows into one, this one ", wanted.first_row);
  }
  if (own.matrix_scale != wanted.matrix_scale) {
    refuse("its matrix_scale is ", own.matrix_scale, ", that of this one ", wanted.matrix_scale);
  }
  if (own.plane_bytes() != wanted.plane_bytes()) {
    refuse("its column scales have ", own.plane_bytes(), " bytes, those of this one ", wanted.plane_bytes());
  }
  if (own.level_count != wanted.level_count ||
      (own.level_count != 0 &&
       std::memcmp(own.levels, wanted.levels, static_cast<std::size_t>(own.level_count) * sizeof(float)) != 0)) {
    refuse("its codebook has other levels");
  }
  const Index size = own.plane_bytes();
  if (size == 0) return;
  const Index last = wanted.plane_of(rows.end - 1);
  for (Index plane = wanted.plane_of(rows.begin); plane <= last; ++plane) {
    const RowRange block = wanted.plane_rows(plane);
    const Index begin = (std::max(rows.begin, block.begin) - block.begin) * size / block.size();
    const Index end = (std::min(rows.end, block.end) - block.begin) * size / block.size();
    const Index first = std::clamp(size - kLineBytes, Index{0}, begin);
    const Index count = std::max(end, std::min(size, first + kLineBytes)) - first;
    const std::byte* const a = own.plane_scales(plane) + first;
    const std::byte* const b = wanted.plane_scales(plane) + first;
    if (std::memcmp(a, b, static_cast<std::size_t>(count)) == 0) continue;
    const Index at = first + (std::mismatch(a, a + count, b).first - a);
    refuse("the scale of column ", at / aux_bytes(own.format, 1), " differs");
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
