// Compiled once per instruction set by symmetric_update.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct SymmetricUpdate<SINQ_ISA> {
  using S = SimdDouble<SINQ_ISA>;
  using D = S::D;
  static constexpr int kRows = 4;  ///< of a tile in registers
  static constexpr int kVectors = 2;
  static constexpr Index kPanel = kVectors * S::kWidth;  ///< columns of a tile

  /// Rows of P as columns of the other factor: panels [size / kPanel][depth][kPanel], zeros behind the last row.
  /// `rows` starts on a panel.
  SINQ_TARGET static void pack(const double* p, RowRange rows, Index depth, double factor, double* panels) noexcept {
    for (Index r0 = rows.begin; r0 < rows.end; r0 += kPanel) {
      double* out = panels + r0 * depth;
      for (Index j = 0; j < kPanel; ++j) {
        const bool inside = r0 + j < rows.end;
        for (Index k = 0; k < depth; ++k) out[k * kPanel + j] = inside ? factor * p[(r0 + j) * depth + k] : 0.0;
      }
    }
  }

  /// The rows of `c`, up to the diagonal.
  SINQ_TARGET static void add_rows(double* c, Index stride, RowRange rows, const double* p, Index depth,
                                   const double* panels) noexcept {
    for (Index col = 0; col < rows.end; col += kPanel) {
      for (Index r = rows.begin; r < rows.end; r += kRows) {
        if (r + kRows <= col) continue;  // above the diagonal
        const double* a[kRows];
        for (Index i = 0; i < kRows; ++i) a[i] = p + (r + i < rows.end ? r + i : rows.end - 1) * depth;
        double tile[kRows * kPanel];
        multiply(a, depth, panels + col * depth, tile);
        for (Index i = 0; i < kRows && r + i < rows.end; ++i) {
          double* out = c + (r + i) * stride + col;
          const Index count = r + i + 1 - col < kPanel ? r + i + 1 - col : kPanel;
          for (Index j = 0; j < count; ++j) out[j] += tile[i * kPanel + j];
        }
      }
    }
  }

 private:
  SINQ_TARGET static void multiply(const double* const (&a)[kRows], Index depth, const double* panel,
                                   double* tile) noexcept {
    D sum[kRows][kVectors];
    SINQ_UNROLL
    for (int i = 0; i < kRows; ++i) {
      SINQ_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[i][v] = S::zero();
    }
    for (Index k = 0; k < depth; ++k, panel += kPanel) {
      D b[kVectors];
      SINQ_UNROLL
      for (int v = 0; v < kVectors; ++v) b[v] = S::load(panel + v * S::kWidth);
      SINQ_UNROLL
      for (int i = 0; i < kRows; ++i) {
        const D x = S::set1(a[i][k]);
        SINQ_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[i][v] = S::fma(x, b[v], sum[i][v]);
      }
    }
    SINQ_UNROLL
    for (int i = 0; i < kRows; ++i) {
      SINQ_UNROLL
      for (int v = 0; v < kVectors; ++v) S::store(tile + i * kPanel + v * S::kWidth, sum[i][v]);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
