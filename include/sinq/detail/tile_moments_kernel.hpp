// Compiled once per instruction set by tile_moments.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct ScaledTileReader<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  TileView tile;
  const float* inv_col;  ///< [stride]

  template <int N>
  SINQ_TARGET void panel(Index col, F (&factors)[std::size_t{N}]) const noexcept {
    SINQ_UNROLL
    for (int k = 0; k < N; ++k) factors[k] = S::load(inv_col + col + k * S::kWidth);
  }
  SINQ_TARGET const float* row(Index r) const noexcept { return tile.row(r); }
  SINQ_TARGET F at(const float* row, Index c, F factor) const noexcept { return S::mul(S::load(row + c), factor); }
};

template <>
struct MomentKernel<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;
  /// Vectors of columns whose factors and sums stay in registers: 8 take 24 of AVX-512's 32, 2 take 6 of 16 elsewhere.
  static constexpr int kPanel = kWidth == 16 ? 8 : 2;
  /// Row moments are those of reader.at alone, column moments those of reader.at * row_factor[r]: a factor that is the
  /// same along a row multiplies the row's standard deviation afterwards.
  template <class Reader>
  SINQ_TARGET static void run(const Reader& reader, Index rows, Index cols, const float* row_factor,
                              const TileMoments& out) noexcept {
    clear(cols, out);
    for (Index r = 0; r < rows; r += kMomentRows) {
      add_rows(reader, {r, r + kMomentRows < rows ? r + kMomentRows : rows}, cols, row_factor, out);
    }
  }

  SINQ_TARGET static void clear(Index cols, const TileMoments& out) noexcept {
    for (Index c = 0; c < round_up(cols, Index{kWidth}); ++c) out.col_sum[c] = out.col_square[c] = 0.0;
  }

  /// At most kMomentRows rows; begins on a multiple of it.
  template <class Reader>
  SINQ_TARGET static void add_rows(const Reader& reader, RowRange rows, Index cols, const float* row_factor,
                                   const TileMoments& out) noexcept {
    const Index vectors = ceil_div(cols, Index{kWidth});
    for (Index v = 0; v < vectors;) {
      const Index left = vectors - v;
      if (left >= kPanel) {
        panel<kPanel>(reader, row_factor, rows, v * kWidth, out);
        v += kPanel;
      } else if (kPanel > 4 && left >= 4) {
        panel<(kPanel > 4 ? 4 : 1)>(reader, row_factor, rows, v * kWidth, out);
        v += 4;
      } else if (kPanel > 2 && left >= 2) {
        panel<(kPanel > 2 ? 2 : 1)>(reader, row_factor, rows, v * kWidth, out);
        v += 2;
      } else {
        panel<1>(reader, row_factor, rows, v * kWidth, out);
        v += 1;
      }
    }
  }

 private:
  template <int N, class Reader>
  SINQ_TARGET static void panel(const Reader& reader, const float* row_factor, RowRange rows, Index col,
                                const TileMoments& out) noexcept {
    F factor[std::size_t{N}], sum[std::size_t{N}], square[std::size_t{N}];
    reader.template panel<N>(col, factor);
    SINQ_UNROLL
    for (int k = 0; k < N; ++k) sum[k] = square[k] = S::zero();
    for (Index r0 = rows.begin; r0 < rows.end; r0 += kWidth) {
      const int count = rows.end - r0 < kWidth ? static_cast<int>(rows.end - r0) : kWidth;
      F row_sum[kWidth], row_square[kWidth];
      for (int i = 0; i < count; ++i) {
        const auto row = reader.row(r0 + i);
        const F by = S::set1(row_factor[r0 + i]);
        F a = S::zero(), b = S::zero();
        SINQ_UNROLL
        for (int k = 0; k < N; ++k) {
          const F t = reader.at(row, col + k * kWidth, factor[k]);
          a = S::add(a, t);
          b = S::fma(t, t, b);
          const F u = S::mul(t, by);
          sum[k] = S::add(sum[k], u);
          square[k] = S::fma(u, u, square[k]);
        }
        row_sum[i] = a;
        row_square[i] = b;
      }
      for (int i = count; i < kWidth; ++i) row_sum[i] = row_square[i] = S::zero();
      F s = S::rows_add(row_sum), q = S::rows_add(row_square);
      if (col != 0) {
        s = S::add(s, S::load(out.row_sum + r0));
        q = S::add(q, S::load(out.row_square + r0));
      }
      S::store(out.row_sum + r0, s);
      S::store(out.row_square + r0, q);
    }
    SINQ_UNROLL
    for (int k = 0; k < N; ++k) {
      S::add_to_doubles(out.col_sum + col + k * kWidth, sum[k]);
      S::add_to_doubles(out.col_square + col + k * kWidth, square[k]);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
