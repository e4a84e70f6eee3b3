#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <string_view>

namespace sinq::inline SINQ_ABI {

/// What `quantize` and `measure_error` read: a matrix [rows, cols] that stays where it is.
///
/// Either strided memory (`data`, strides in elements), or, for a lazy expression, a `read_tile` that evaluates one
/// tile. Type-erased, so the pipeline is compiled once per quantizer and not once per matrix type.
struct MatrixView {
  Index rows = 0;
  Index cols = 0;
  const void* data = nullptr;
  ScalarType type = ScalarType::kF32;
  Index row_stride = 0;  ///< elements from one row to the next
  Index col_stride = 1;  ///< elements from one column to the next

  /// Writes rows x cols of `expression`, starting at (row, col), to `out` with `out_stride` floats per row.
  using ReadTile = void (*)(const void* expression, Index row, Index col, Index rows, Index cols, float* out,
                            Index out_stride);
  ReadTile read_tile = nullptr;

  /// A row-major matrix without gaps.
  [[nodiscard]] static MatrixView row_major(const void* data, ScalarType type, Index rows, Index cols) noexcept {
    return {.rows = rows, .cols = cols, .data = data, .type = type, .row_stride = cols, .col_stride = 1};
  }
  [[nodiscard]] static MatrixView row_major(const float* data, Index rows, Index cols) noexcept {
    return row_major(data, ScalarType::kF32, rows, cols);
  }
};

namespace detail {

/// Throws kBadShape, in the name of `call`, unless there is a matrix, whose rows and columns have places of their own:
/// a MatrixView made by hand has row_stride 0 until someone says otherwise.
inline void require_readable(std::string_view call, const MatrixView& w) {
  if (w.rows < 1 || w.cols < 1) {
    SINQ_THROW(Errc::kBadShape, text(call, ": the matrix is ", w.rows, " x ", w.cols, "; it must not be empty"));
  }
  if (w.data == nullptr) SINQ_THROW(Errc::kBadShape, text(call, ": the matrix has no data"));
  if (w.read_tile != nullptr) return;
  if (w.row_stride == 0 && w.rows > 1) {
    SINQ_THROW(Errc::kBadShape, text(call, ": row_stride is 0, ", w.rows, " rows would all be the first"));
  }
  if (w.col_stride == 0 && w.cols > 1) {
    SINQ_THROW(Errc::kBadShape, text(call, ": col_stride is 0, ", w.cols, " columns would all be the first"));
  }
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
