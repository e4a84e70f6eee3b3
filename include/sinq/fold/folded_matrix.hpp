#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/finite.hpp>
#include <sinq/fold/factors.hpp>
#include <sinq/fold/rounding.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

namespace sinq::inline SINQ_ABI::fold {

/// How a product becomes a float.
enum class ProductRounding : std::uint8_t {
  kNearest,
  /// To the neighbour with an odd last bit. For readers that round to f16 or bf16: they then get what one rounding of
  /// the product to those types gives (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
  kOdd,
};

/// A matrix and its factors as what `quantize` and others read: products in double, rounded once, to float. Must
/// outlive its views.
class FoldedMatrix {
 public:
  /// `factors` may be null, and must outlive this. Throws Errc::kBadShape if they are of another size.
  FoldedMatrix(const MatrixView& matrix, const Factors* factors, ProductRounding rounding = ProductRounding::kNearest)
      : matrix_(matrix), factors_(factors), rounding_(rounding) {
    if (factors == nullptr) return;
    const auto fits = [](const std::vector<double>& all, Index size) {
      return all.empty() || static_cast<Index>(all.size()) == size;
    };
    if (!fits(factors->rows, matrix.rows) || !fits(factors->cols, matrix.cols)) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("fold: ", factors->rows.size(), " and ", factors->cols.size(),
                                                     " factors for a matrix ", matrix.rows, " x ", matrix.cols));
    }
  }
  FoldedMatrix(const FoldedMatrix&) = delete;
  FoldedMatrix& operator=(const FoldedMatrix&) = delete;

  [[nodiscard]] MatrixView view() const noexcept {
    if (factors_ == nullptr) return matrix_;
    return {.rows = matrix_.rows,
            .cols = matrix_.cols,
            .data = this,
            .row_stride = matrix_.cols,
            .read_tile = &FoldedMatrix::read};
  }

 private:
  static void read(const void* self, Index row, Index col, Index rows, Index cols, float* out, Index stride) {
    const auto& [matrix, factors, rounding] = *static_cast<const FoldedMatrix*>(self);
    sinq::detail::read_rect(matrix, {row, col, rows, cols}, out, stride);
    for (Index r = 0; r < rows; ++r, out += stride) {
      const double by_row = factors->rows.empty() ? 1.0 : factors->rows[static_cast<std::size_t>(row + r)];
      for (Index c = 0; c < cols; ++c) {
        const double by_col = factors->cols.empty() ? 1.0 : factors->cols[static_cast<std::size_t>(col + c)];
        const double product = static_cast<double>(out[c]) * (by_row * by_col);
        out[c] = detail::round_float(product).stored;
        if (rounding == ProductRounding::kOdd) out[c] = to_odd(product, out[c]);
      }
    }
  }

  /// The odd one of the two floats around `exact`, of which `nearest` is one; `nearest` where that is exact.
  static float to_odd(double exact, float nearest) noexcept {
    auto bits = std::bit_cast<std::uint32_t>(nearest);
    if (static_cast<double>(nearest) == exact || (bits & 1U) != 0 || is_nan(nearest)) return nearest;
    bits = std::abs(static_cast<double>(nearest)) > std::abs(exact) ? bits - 1 : bits + 1;
    return std::bit_cast<float>(bits);
  }

  MatrixView matrix_;
  const Factors* factors_;
  ProductRounding rounding_;
};

}  // namespace sinq::inline SINQ_ABI::fold
