// Compiled once per instruction set by group_kernels.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct GroupKernels<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;

  /// Least, greatest and sum of `count` columns from `col` on, for every row. Output arrays hold rows rounded up to
  /// kTileStride.
  SINQ_TARGET static void stats(const TileView& tile, Index col, Index count, const GroupStats& out) noexcept {
    const int tail = static_cast<int>(count % kWidth);
    for (Index r0 = 0; r0 < tile.rows; r0 += kWidth) {
      F low[kWidth], high[kWidth], sum[kWidth];
      const Index rows = tile.rows - r0 < kWidth ? tile.rows - r0 : kWidth;
      for (Index i = 0; i < kWidth; ++i) {
        // Rows beyond the last repeat it: their results are never read.
        const float* x = tile.row(r0 + (i < rows ? i : rows - 1)) + col;
        if (count < kWidth) {
          short_row(x, static_cast<int>(count), low[i], high[i], sum[i]);
          continue;
        }
        F a = S::load(x), b = a, s = a;
        for (Index c = kWidth; c + kWidth <= count; c += kWidth) {
          const F v = S::load(x + c);
          a = S::min(a, v);
          b = S::max(b, v);
          s = S::add(s, v);
        }
        if (tail != 0) {
          const F v = S::load(x + count - kWidth);  // overlaps what was seen, which extremes do not mind
          a = S::min(a, v);
          b = S::max(b, v);
          s = S::add(s, S::load_first(x + count - tail, tail));
        }
        low[i] = a;
        high[i] = b;
        sum[i] = s;
      }
      S::store(out.low + r0, S::rows_min(low));
      S::store(out.high + r0, S::rows_max(high));
      S::store(out.sum + r0, S::rows_add(sum));
    }
  }

  /// columns[c][i] = tile[r0 + i][col + c]; lanes beyond the last row repeat it.
  SINQ_TARGET static void transpose(const TileView& tile, Index col, Index count, Index r0, int rows,
                                    float* columns) noexcept {
    for (int i = 0; i < kWidth; ++i) {
      const float* x = tile.row(r0 + (i < rows ? i : rows - 1)) + col;
      for (Index c = 0; c < count; ++c) columns[c * kWidth + i] = x[c];
    }
  }

  /// The even grid with `steps` steps between least and greatest, of at least `min_range`. Reads whole vectors,
  /// writes exactly `rows` values.
  SINQ_TARGET static void fit_range(Index rows, const GroupStats& stats, float min_range, float steps, bool integer,
                                    float* scale, float* zero) noexcept {
    const F least = S::set1(min_range), count = S::set1(steps), minus = S::set1(-1.0F);
    for (Index r = 0; r < rows; r += kWidth) {
      const F low = S::load(stats.low + r);
      const F s = S::div(S::max(S::sub(S::load(stats.high + r), low), least), count);
      const F z = S::div(S::mul(low, minus), s);
      const int n = rows - r < kWidth ? static_cast<int>(rows - r) : kWidth;
      S::store_first(scale + r, s, n);
      S::store_first(zero + r, integer ? S::round(z) : z, n);
    }
  }

  /// code = clamp(round(x / scale + zero_point), 0, top), half to even. Writes whole vectors: `code_stride` has room
  /// for the tile's padded columns.
  template <Division kDivision>
  SINQ_TARGET static void encode_uniform(const TileView& tile, Index group_size, const GroupParams& params, float top,
                                         std::uint8_t* codes, Index code_stride) noexcept {
    const F limit = S::set1(top);
    for (Index r = 0; r < tile.rows; ++r) {
      const float* x = tile.row(r);
      std::uint8_t* out = codes + r * code_stride;
      for (Index g = 0, c = 0; c < tile.cols; ++g) {
        const float scale = params.scale[g * params.stride + r];
        const F zero = S::set1(params.zero_point[g * params.stride + r]);
        const Index end = c + group_size < tile.cols ? c + group_size : tile.cols;
        const F by = S::set1(kDivision == Division::kExact ? scale : scale == 0.0F ? 0.0F : 1.0F / scale);
        for (; c < end; c += kWidth) {
          const F v = S::load(x + c);
          const F level = kDivision == Division::kExact ? S::add(S::div(v, by), zero) : S::fma(v, by, zero);
          S::store_codes(out + c, level, limit);
        }
        c = end;
      }
    }
  }

  /// The code of the nearest level: binary search among the midpoints, whose number is a power of two less one. Ties go
  /// to the lower level. Up to 16 levels never leave the registers.
  SINQ_TARGET static void encode_levels(const TileView& tile, Index group_size, const GroupParams& params,
                                        const float* midpoints, int bits, std::uint8_t* codes,
                                        Index code_stride) noexcept {
    for (Index r = 0; r < tile.rows; ++r) {
      const float* x = tile.row(r);
      std::uint8_t* out = codes + r * code_stride;
      for (Index g = 0, c = 0; c < tile.cols; ++g) {
        const float scale = params.scale[g * params.stride + r];
        const F inverse = S::set1(scale == 0.0F ? 0.0F : 1.0F / scale);
        const F zero = S::set1(params.zero_point[g * params.stride + r]);
        const Index end = c + group_size < tile.cols ? c + group_size : tile.cols;
        for (; c < end; c += kWidth) {
          const F value = S::fma(S::load(x + c), inverse, zero);
          S::store_indices(out + c, bits == 4   ? search<4>(midpoints, 4, value)
                                    : bits == 3 ? search<3>(midpoints, 3, value)
                                                : search<0>(midpoints, bits, value));
        }
        c = end;
      }
    }
  }

  /// Index of the nearest level, per lane. kBits = 0: any width, from memory.
  template <int kBits>
  SINQ_TARGET static typename S::I search(const float* midpoints, int bits, F value) noexcept {
    typename S::I index = S::set1_index(0);
    for (int step = 1 << ((kBits != 0 ? kBits : bits) - 1); step != 0; step >>= 1) {
      const typename S::I probe = S::add_index(index, S::set1_index(step - 1));
      const F middle = kBits != 0 ? S::lookup16(midpoints, probe) : S::lookup(midpoints, probe);
      index = S::add_index(index, S::keep_index(S::less(middle, value), S::set1_index(step)));
    }
    return index;
  }

 private:
  SINQ_TARGET static void short_row(const float* x, int count, F& low, F& high, F& sum) noexcept {
    float a = x[0], b = x[0];
    for (int c = 1; c < count; ++c) {
      a = x[c] < a ? x[c] : a;
      b = x[c] > b ? x[c] : b;
    }
    low = S::set1(a);
    high = S::set1(b);
    sum = S::load_first(x, count);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
