// Compiled once per instruction set by bench_ablation.cpp.
#ifdef SINQ_ISA

namespace sinq::bench {

template <>
struct AblationKernel<SINQ_ISA> {
  using S = detail::Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;
  /// Vectors of columns in registers at a time, as in the library.
  static constexpr int kPanel = kWidth == 16 ? 4 : 2;

  template <unsigned kOut>
  SINQ_TARGET static void copy(const Strip& from, RowRange rows, float* to) noexcept {
    for (Index r = rows.begin; r < rows.end; ++r) {
      for (Index c = 0; c < kCols; c += kWidth) {
        if constexpr (keeps(kOut, kFetchAhead)) fetch_ahead(from, r, c);
        S::store(to + r * kCols + c, S::load(from.row(r) + c));
      }
    }
  }

  /// Row moments leave the row's own factor out: it multiplies the deviation afterwards. Column moments are added.
  template <unsigned kOut>
  SINQ_TARGET static void add_moments(const Strip& x, RowRange rows, const float* inv_row, const float* inv_col,
                                      const TileMoments& out) noexcept {
    if constexpr (keeps(kOut, kFusedSweep)) {
      sweep<kOut, true, true>(x, rows, inv_row, inv_col, out);
    } else {
      sweep<kOut, true, false>(x, rows, inv_row, inv_col, out);
      sweep<kOut, false, true>(x, rows, inv_row, inv_col, out);
    }
  }

 private:
  /// As far as the library's copy does.
  SINQ_TARGET static void fetch_ahead(const Strip& x, Index r, Index c) noexcept {
    constexpr Index kRowsAhead = 48, kPerLine = 16;
    if (c % kPerLine == 0) S::prefetch_far(x.row(r + kRowsAhead < kRows ? r + kRowsAhead : r) + c);
  }

  template <unsigned kOut, bool kOfRows, bool kOfCols>
  SINQ_TARGET static void sweep(const Strip& x, RowRange rows, const float* inv_row, const float* inv_col,
                                const TileMoments& out) noexcept {
    for (Index r = rows.begin; r < rows.end; r += detail::kMomentRows) {
      for (Index c = 0; c < kCols; c += kPanel * kWidth) panel<kOut, kOfRows, kOfCols>(x, r, c, inv_row, inv_col, out);
    }
  }

  /// kMomentRows rows of kPanel vectors.
  template <unsigned kOut, bool kOfRows, bool kOfCols>
  SINQ_TARGET static void panel(const Strip& x, Index first_row, Index col, const float* inv_row, const float* inv_col,
                                const TileMoments& out) noexcept {
    F factor[kPanel], sum[kPanel], square[kPanel];
    SINQ_UNROLL
    for (int k = 0; k < kPanel; ++k) {
      factor[k] = S::load(inv_col + col + k * kWidth);
      sum[k] = square[k] = S::zero();
    }
    for (Index r0 = first_row; r0 < first_row + detail::kMomentRows; r0 += kWidth) {
      [[maybe_unused]] F row_sum[kWidth], row_square[kWidth];
      for (int i = 0; i < kWidth; ++i) {
        const float* row = x.row(r0 + i) + col;
        const F by = S::set1(inv_row[r0 + i]);
        F a = S::zero(), b = S::zero();
        SINQ_UNROLL
        for (int k = 0; k < kPanel; ++k) {
          if constexpr (!keeps(kOut, kScratch) && keeps(kOut, kFetchAhead)) fetch_ahead(x, r0 + i, col + k * kWidth);
          const F t = S::mul(S::load(row + k * kWidth), factor[k]);
          if constexpr (kOfRows) {
            a = S::add(a, t);
            b = S::fma(t, t, b);
          }
          if constexpr (kOfCols) {
            const F u = S::mul(t, by);
            sum[k] = S::add(sum[k], u);
            square[k] = S::fma(u, u, square[k]);
          }
        }
        if constexpr (kOfRows && keeps(kOut, kJointRowSums)) {
          row_sum[i] = a;
          row_square[i] = b;
        } else if constexpr (kOfRows) {
          out.row_sum[r0 + i] = S::reduce_add(a) + (col != 0 ? out.row_sum[r0 + i] : 0.0F);
          out.row_square[r0 + i] = S::reduce_add(b) + (col != 0 ? out.row_square[r0 + i] : 0.0F);
        }
      }
      if constexpr (kOfRows && keeps(kOut, kJointRowSums)) {
        F s = S::rows_add(row_sum), q = S::rows_add(row_square);
        if (col != 0) {
          s = S::add(s, S::load(out.row_sum + r0));
          q = S::add(q, S::load(out.row_square + r0));
        }
        S::store(out.row_sum + r0, s);
        S::store(out.row_square + r0, q);
      }
    }
    if constexpr (kOfCols) {
      SINQ_UNROLL
      for (int k = 0; k < kPanel; ++k) {
        S::add_to_doubles(out.col_sum + col + k * kWidth, sum[k]);
        S::add_to_doubles(out.col_square + col + k * kWidth, square[k]);
      }
    }
  }
};

}  // namespace sinq::bench

#endif
