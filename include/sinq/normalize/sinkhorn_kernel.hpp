// Compiled once per instruction set by sinkhorn.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct SinkhornSteps<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// Turns the moments of rows into their unbiased standard deviations, in place of `square`. Arrays are padded.
  SINQ_TARGET static DeviationSummary deviations(const float* sum, float* square, const float* inv_row, Index rows,
                                                 Index cols) noexcept {
    const F inv_n = S::set1(1.0F / static_cast<float>(cols));
    const F inv_n1 = S::set1(1.0F / static_cast<float>(cols - 1));
    const F limit = S::set1(kMaxOffsetRatio);
    F least = S::set1(std::numeric_limits<float>::infinity());
    F most = S::zero();
    F offset = S::zero();
    for (Index r = 0; r < rows; r += S::kWidth) {
      const F s = S::load(sum + r);
      const F mean_part = S::mul(S::mul(s, s), inv_n);
      const F spread = S::max(S::sub(S::load(square + r), mean_part), S::zero());
      F std = S::mul(S::sqrt(S::mul(spread, inv_n1)), S::load(inv_row + r));
      S::store(square + r, std);
      const F excess = S::sub(mean_part, S::mul(spread, limit));  // > 0: float cannot tell the spread from the mean
      if (const Index left = rows - r; left < S::kWidth) {        // the padding has no say
        std = S::load_first(square + r, static_cast<int>(left));
        most = S::max(most, std);
        float lanes[S::kWidth];
        S::store(lanes, S::max(excess, S::zero()));
        offset = S::max(offset, S::load_first(lanes, static_cast<int>(left)));
        for (Index i = 0; i < left; ++i) least = S::min(least, S::set1(square[r + i]));
      } else {
        least = S::min(least, std);
        most = S::max(most, std);
        offset = S::max(offset, excess);
      }
    }
    return {S::reduce_min(least), S::reduce_max(most), S::reduce_max(offset) > 0.0F};
  }

  /// inv *= 1 / clamp(std / target, update), clipped: the multiplicative form of the reference's log scales, without
  /// exp and log per element.
  SINQ_TARGET static void update(float* inv, const float* std, Index count, const UpdateLimits& limits) noexcept {
    const F inv_target = S::set1(1.0F / limits.target);
    const F least_std = S::set1(limits.min_std), most_std = S::set1(limits.max_std);
    const F least = S::set1(limits.min_update), most = S::set1(limits.max_update);
    const F least_inv = S::set1(limits.min_inverse), most_inv = S::set1(limits.max_inverse);
    for (Index i = 0; i < count; i += S::kWidth) {
      F ratio = S::mul(S::min(S::max(S::load(std + i), least_std), most_std), inv_target);
      ratio = S::min(S::max(ratio, least), most);
      const F next = S::div(S::load(inv + i), ratio);
      S::store(inv + i, S::min(S::max(next, least_inv), most_inv));
    }
  }

  SINQ_TARGET static void ranges(const TileView& tile, const float* inv_col, const RowRanges& out) noexcept {
    const int tail = static_cast<int>(tile.cols % S::kWidth);
    for (Index r0 = 0; r0 < tile.rows; r0 += S::kWidth) {
      F low[S::kWidth], high[S::kWidth], scaled_low[S::kWidth], scaled_high[S::kWidth], sum[S::kWidth];
      F square[S::kWidth];
      for (Index i = 0; i < S::kWidth; ++i) {
        // Rows beyond the last repeat it: their results are never read.
        const float* x = tile.row(r0 + i < tile.rows ? r0 + i : tile.rows - 1);
        const F first = S::set1(x[0]), scaled_first = S::set1(x[0] * inv_col[0]);
        F a = first, b = first, sa = scaled_first, sb = scaled_first, s = S::zero(), q = S::zero();
        for (Index c = 0; c < tile.cols; c += S::kWidth) {
          F v = S::load(x + c);
          F u = S::mul(v, S::load_first(inv_col + c, tile.cols - c < S::kWidth ? tail : S::kWidth));
          if (tile.cols - c < S::kWidth) {  // the padding takes the place of the first weight
            float lanes[S::kWidth];
            S::store(lanes, first);
            S::store_first(lanes, v, tail);
            v = S::load(lanes);
            S::store(lanes, scaled_first);
            S::store_first(lanes, u, tail);
            u = S::load(lanes);
          }
          const F d = S::sub(v, first);
          a = S::min(a, v);
          b = S::max(b, v);
          sa = S::min(sa, u);
          sb = S::max(sb, u);
          s = S::add(s, d);
          q = S::fma(d, d, q);
        }
        low[i] = a;
        high[i] = b;
        scaled_low[i] = sa;
        scaled_high[i] = sb;
        sum[i] = s;
        square[i] = q;
      }
      S::store(out.low + r0, S::rows_min(low));
      S::store(out.high + r0, S::rows_max(high));
      S::store(out.scaled_low + r0, S::rows_min(scaled_low));
      S::store(out.scaled_high + r0, S::rows_max(scaled_high));
      S::store(out.sum + r0, S::rows_add(sum));
      S::store(out.square + r0, S::rows_add(square));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
