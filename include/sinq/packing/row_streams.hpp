#pragma once

#include <sinq/packing/bit_packing.hpp>
#include <sinq/packing/code_layout.hpp>

#include <numeric>

namespace sinq::inline SINQ_ABI::detail {

/// Codes whose rows are bit streams of their own, each on whole bytes, as are the rows of separate signs: what scalar
/// and vector codes have in common.
class RowStreams {
 public:
  explicit constexpr RowStreams(const Layout& layout) noexcept
      : rows_(layout.rows),
        cols_(layout.cols),
        bits_(layout.bits),
        dim_(layout.vector_dim),
        has_signs_(layout.signs == SignStorage::kSeparate) {}

  /// Codes that `cols` columns take.
  [[nodiscard]] constexpr Index code_count(Index cols) const noexcept { return ceil_div(cols, Index{dim_}); }
  [[nodiscard]] constexpr Index row_bytes() const noexcept { return packed_bytes(code_count(cols_), bits_); }
  [[nodiscard]] constexpr Index sign_row_bytes() const noexcept { return has_signs_ ? ceil_div(cols_, 8) : 0; }

  /// Bytes of codes from the start of a row to column `col`, a multiple of `col_step`.
  [[nodiscard]] constexpr Index bytes_before(Index col) const noexcept { return col / dim_ * bits_ / 8; }
  /// Where the codes of `row` from column `col` on are in their region.
  [[nodiscard]] constexpr Index code_offset(Index row, Index col) const noexcept {
    return row * row_bytes() + bytes_before(col);
  }
  /// Of separate signs; `col` is a multiple of 8.
  [[nodiscard]] constexpr Index sign_offset(Index row, Index col) const noexcept {
    return row * sign_row_bytes() + col / 8;
  }

  [[nodiscard]] constexpr RegionShape code_shape() const noexcept { return {rows_, row_bytes()}; }
  [[nodiscard]] constexpr RegionShape sign_shape() const noexcept { return {rows_, sign_row_bytes()}; }
  [[nodiscard]] constexpr Index row_step() const noexcept { return 1; }
  /// Columns whose codes are whole bytes.
  [[nodiscard]] constexpr Index col_step() const noexcept { return dim_ * 8 / std::gcd(bits_, 8); }
  /// Rows lie far apart, and columns of one are neighbours.
  [[nodiscard]] constexpr UnpackShape unpack_shape() const noexcept { return {1, cols_}; }

 protected:
  Index rows_;
  Index cols_;
  int bits_;
  int dim_;
  bool has_signs_;
};

}  // namespace sinq::inline SINQ_ABI::detail
