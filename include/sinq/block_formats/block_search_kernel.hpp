// Compiled once per instruction set by block_search.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct BlockSearch<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  static constexpr Index kLanes = BlockPanel::kLanes;

  /// Finds what the searches want to know of each sub-block's weights.
  SINQ_TARGET static void measure(BlockPanel& panel) noexcept {
    for (Index lane = 0; lane < kLanes; lane += S::kWidth) {
      F low = S::load(panel.x + lane), high = low, sum = S::zero(), x1 = S::zero(), xx = S::zero();
      for (Index i = 0; i < panel.size; ++i) {
        const F x = S::load(panel.x + i * kLanes + lane), w = S::load(panel.w + i * kLanes + lane);
        low = S::min(low, x);
        high = S::max(high, x);
        sum = S::add(sum, w);
        x1 = S::fma(w, x, x1);
        xx = S::fma(S::mul(w, x), x, xx);
      }
      S::store(panel.low + lane, low);
      S::store(panel.high + lane, high);
      S::store(panel.sum + lane, sum);
      S::store(panel.x1 + lane, x1);
      S::store(panel.xx + lane, xx);
    }
  }

  /// What is lost if `count` values become factors[k] times the nearest whole number in [least, greatest]: errors[k],
  /// weighted.
  SINQ_TARGET static void factor_errors(const float* values, const float* weight, Index count,
                                        const BlockLanes& factors, float least, float greatest,
                                        BlockLanes& errors) noexcept {
    const F low = S::set1(least), high = S::set1(greatest);
    for (Index k = 0; k < kLanes; k += S::kWidth) {
      const F factor = S::load(factors + k), inverse_factor = inverse(factor), minus = S::sub(S::zero(), factor);
      F error = S::zero();
      for (Index j = 0; j < count; ++j) {
        const F value = S::set1(values[j]);
        const F code = S::min(S::max(S::round(S::mul(value, inverse_factor)), low), high);
        const F d = S::fma(minus, code, value);
        error = S::fma(S::mul(S::set1(weight[j]), d), d, error);
      }
      S::store(errors + k, error);
    }
  }

  /// Fits scales without offset, of either sign if the levels have both.
  SINQ_TARGET static void fit_scale(const BlockPanel& panel, const BlockGrid& grid, const BlockStarts& starts,
                                    BlockFit& plain, BlockFit& fit) noexcept {
    if (grid.levels != nullptr) {
      fit_scale_on(Table{grid.levels, grid.midpoints}, panel, grid, starts, plain, fit);
    } else {
      fit_scale_on(Whole{S::set1(grid.lowest), S::set1(grid.highest)}, panel, grid, starts, plain, fit);
    }
  }

  /// Fits scales and offsets, the offset of a lane nowhere above zero in direction[lane]: 1, -1, or 0 for any offset.
  SINQ_TARGET static void fit_affine(const BlockPanel& panel, const BlockGrid& grid, const BlockStarts& starts,
                                     const BlockLanes& direction, BlockFit& plain, BlockFit& fit) noexcept {
    const Whole nearest{S::set1(grid.lowest), S::set1(grid.highest)};
    const F inverse_top = S::set1(1.0F / grid.highest);
    for (Index lane = 0; lane < kLanes; lane += S::kWidth) {
      const F low = S::load(panel.low + lane), high = S::load(panel.high + lane);
      const F limit = S::load(direction + lane);
      // The lowest level is the offset: where that may not leave zero, the range begins there.
      F low0 = S::select(S::less(S::zero(), limit), S::min(low, S::zero()), low);
      low0 = S::select(S::less(limit, S::zero()), S::max(low, S::zero()), low0);
      const F width = S::max(S::sub(high, low0), S::zero());
      Affine best{S::mul(width, inverse_top), low0};
      S::store(plain.scale + lane, best.scale);
      S::store(plain.offset + lane, best.offset);
      F least = S::set1(std::numeric_limits<float>::infinity());
      for (int k = 0; k < starts.count; ++k) {
        const F clip = S::set1(starts.clip(k));
        const F scale = S::mul(S::mul(width, clip), inverse_top);
        const F slack = S::sub(width, S::mul(width, clip));
        // The upper end gives way, both do, or the lower one.
        refine_affine(nearest, panel, lane, limit, Affine{scale, low0}, best, least);
        refine_affine(nearest, panel, lane, limit, Affine{scale, S::fma(slack, S::set1(0.5F), low0)}, best, least);
        refine_affine(nearest, panel, lane, limit, Affine{scale, S::add(slack, low0)}, best, least);
      }
      for (int k = 0; k < starts.rounds; ++k) refine_affine(nearest, panel, lane, limit, best, best, least);
      S::store(fit.scale + lane, best.scale);
      S::store(fit.offset + lane, best.offset);
    }
  }

  /// Moves every sub-block to the best codes of scale and minimum near the present ones, under the stored scale and
  /// minimum of its block, and says what error is left.
  SINQ_TARGET static void settle(const BlockPanel& panel, const BlockGrid& grid, const BlockCodeRange& codes,
                                 BlockStored& stored, BlockSums& sums) noexcept {
    if (grid.levels != nullptr) {
      settle_on(Table{grid.levels, grid.midpoints}, panel, codes, stored, sums);
    } else {
      settle_on(Whole{S::set1(grid.lowest), S::set1(grid.highest)}, panel, codes, stored, sums);
    }
  }

  /// Codes of the nearest levels, [element][lane]. `first_code` is the code of the lowest level.
  SINQ_TARGET static void encode(const BlockPanel& panel, const BlockGrid& grid, const BlockStored& stored,
                                 float first_code, std::uint8_t* out) noexcept {
    for (Index lane = 0; lane < kLanes; lane += S::kWidth) {
      const Decoder at = decoder(stored, lane, S::load(stored.scale_code + lane), S::load(stored.min_code + lane));
      const F shift = S::sub(at.shift, S::set1(grid.levels != nullptr ? 0.0F : grid.lowest));
      const F low = S::set1(first_code), top = S::set1(grid.highest - grid.lowest + first_code);
      for (Index i = 0; i < panel.size; ++i) {
        const F x = S::load(panel.x + i * kLanes + lane);
        if (grid.levels != nullptr) {
          S::store_indices(out + i * kLanes + lane,
                           Table{grid.levels, grid.midpoints}.index(S::fma(x, at.inverse, shift)));
        } else {
          S::store_codes(out + i * kLanes + lane,
                         S::add(S::max(S::round(S::fma(x, at.inverse, shift)), S::zero()), low), top);
        }
      }
    }
  }

 private:
  struct Affine {
    F scale, offset;
  };

  /// w ~ scale * level + offset, and the level that w wants: w * inverse + shift.
  struct Decoder {
    F scale, offset, inverse, shift;
  };

  /// Levels that are whole numbers.
  struct Whole {
    F low, high;
    SINQ_TARGET F nearest(F u) const noexcept { return S::min(S::max(S::round(u), low), high); }
  };

  /// Sixteen levels in a table that fits into registers.
  struct Table {
    const float* levels;
    const float* midpoints;
    SINQ_TARGET I index(F u) const noexcept {
      I at = S::set1_index(0);
      for (int step = 8; step != 0; step >>= 1) {
        const F middle = S::lookup16(midpoints, S::add_index(at, S::set1_index(step - 1)));
        at = S::add_index(at, S::keep_index(S::less(middle, u), S::set1_index(step)));
      }
      return at;
    }
    SINQ_TARGET F nearest(F u) const noexcept { return S::lookup16(levels, index(u)); }
  };

  SINQ_TARGET static F inverse(F scale) noexcept {
    const auto nothing = S::less(S::abs(scale), S::set1(std::numeric_limits<float>::min()));
    return S::select(nothing, S::zero(), S::div(S::set1(1.0F), scale));
  }

  SINQ_TARGET static Decoder decoder(const BlockStored& stored, Index lane, F scale_code, F min_code) noexcept {
    Decoder at;
    at.scale = S::mul(S::load(stored.scale + lane), scale_code);
    at.offset = S::sub(S::zero(), S::mul(S::load(stored.min + lane), min_code));
    at.inverse = inverse(at.scale);
    at.shift = S::sub(S::zero(), S::mul(at.offset, at.inverse));
    return at;
  }

  template <class Grid>
  SINQ_TARGET static void fit_scale_on(const Grid& nearest, const BlockPanel& panel, const BlockGrid& grid,
                                       const BlockStarts& starts, BlockFit& plain, BlockFit& fit) noexcept {
    const F inverse_low = S::set1(1.0F / grid.lowest), inverse_high = S::set1(1.0F / grid.highest);
    for (Index lane = 0; lane < kLanes; lane += S::kWidth) {
      const F low = S::load(panel.low + lane), high = S::load(panel.high + lane);
      // The least scales of either sign under which no weight is clipped.
      const F up = S::max(S::mul(low, inverse_low), S::mul(high, inverse_high));
      const F down = S::min(S::mul(low, inverse_high), S::mul(high, inverse_low));
      const F longest = S::select(S::less(high, S::sub(S::zero(), low)), low, high);
      S::store(plain.scale + lane, S::mul(longest, inverse_low));
      S::store(plain.offset + lane, S::zero());
      F best = up, most = S::zero();
      for (int k = 0; k < starts.count; ++k) {
        const F clip = S::set1(starts.clip(k));
        refine_scale(nearest, panel, lane, S::mul(up, clip), best, most);
        refine_scale(nearest, panel, lane, S::mul(down, clip), best, most);
      }
      for (int k = 0; k < starts.rounds; ++k) refine_scale(nearest, panel, lane, best, best, most);
      S::store(fit.scale + lane, best);
      S::store(fit.offset + lane, S::zero());
    }
  }

  /// The least-squares scale for the levels under `at`, if it explains more than the best so far. Error = sum of w x^2
  /// less (sum of w q x)^2 / sum of w q^2.
  template <class Grid>
  SINQ_TARGET static void refine_scale(const Grid& nearest, const BlockPanel& panel, Index lane, F at, F& best,
                                       F& most) noexcept {
    const F inverse_at = inverse(at);
    F qx = S::zero(), qq = S::zero();
    for (Index i = 0; i < panel.size; ++i) {
      const F x = S::load(panel.x + i * kLanes + lane);
      const F q = nearest.nearest(S::mul(x, inverse_at));
      const F wq = S::mul(S::load(panel.w + i * kLanes + lane), q);
      qx = S::fma(wq, x, qx);
      qq = S::fma(wq, q, qq);
    }
    const F scale = S::mul(qx, inverse(qq));
    const F gain = S::mul(scale, qx);
    const auto better = S::less(most, gain);
    most = S::select(better, gain, most);
    best = S::select(better, scale, best);
  }

  /// The least-squares scale and offset for the levels under `at`, if their error is the least so far.
  SINQ_TARGET static void refine_affine(const Whole& nearest, const BlockPanel& panel, Index lane, F limit, Affine at,
                                        Affine& best, F& least) noexcept {
    const F inverse_at = inverse(at.scale);
    const F shift = S::sub(S::zero(), S::mul(at.offset, inverse_at));
    F qx = S::zero(), qq = S::zero(), q1 = S::zero();
    for (Index i = 0; i < panel.size; ++i) {
      const F x = S::load(panel.x + i * kLanes + lane);
      const F q = nearest.nearest(S::fma(x, inverse_at, shift));
      const F wq = S::mul(S::load(panel.w + i * kLanes + lane), q);
      q1 = S::add(q1, wq);
      qq = S::fma(wq, q, qq);
      qx = S::fma(wq, x, qx);
    }
    const F sum = S::load(panel.sum + lane), x1 = S::load(panel.x1 + lane), xx = S::load(panel.xx + lane);
    const F inverse_w = inverse(sum);
    const F q_mean = S::mul(q1, inverse_w), x_mean = S::mul(x1, inverse_w);
    // Explicit, here and below: which product of two g++ fuses with a sum depends on the instruction set.
    const F minus_mean = S::sub(S::zero(), q_mean);
    const F covariance = S::fma(minus_mean, x1, qx), variance = S::fma(minus_mean, q1, qq);
    F scale = S::max(S::mul(covariance, inverse(variance)), S::zero());
    F offset = S::fma(scale, minus_mean, x_mean);
    const auto beyond = S::less(S::zero(), S::mul(offset, limit));
    scale = S::select(beyond, S::mul(qx, inverse(qq)), scale);
    offset = S::select(beyond, S::zero(), offset);
    // |x - scale q - offset|^2, multiplied out.
    const F twice = S::set1(2.0F);
    F error = S::fma(S::mul(scale, scale), qq, xx);
    error = S::fma(S::mul(offset, offset), sum, error);
    error = S::fma(S::mul(twice, S::mul(scale, offset)), q1, error);
    error = S::fma(S::set1(-2.0F), S::fma(scale, qx, S::mul(offset, x1)), error);
    const auto better = S::less(error, least);
    least = S::select(better, error, least);
    best.scale = S::select(better, scale, best.scale);
    best.offset = S::select(better, offset, best.offset);
  }

  template <class Grid>
  SINQ_TARGET static void settle_on(const Grid& nearest, const BlockPanel& panel, const BlockCodeRange& codes,
                                    BlockStored& stored, BlockSums& sums) noexcept {
    for (Index lane = 0; lane < kLanes; lane += S::kWidth) {
      const F scale0 = S::load(stored.scale_code + lane), min0 = S::load(stored.min_code + lane);
      F scale_code = scale0, min_code = min0;
      F least = error_under(nearest, panel, lane, decoder(stored, lane, scale0, min0));
      for (float ds = -codes.scale_reach; ds <= codes.scale_reach; ds += 1.0F) {
        const F s = clamp(S::add(scale0, S::set1(ds)), codes.least_scale, codes.greatest_scale);
        for (float dm = -codes.min_reach; dm <= codes.min_reach; dm += 1.0F) {
          if (ds == 0.0F && dm == 0.0F) continue;
          const F m = clamp(S::add(min0, S::set1(dm)), codes.least_min, codes.greatest_min);
          const F error = error_under(nearest, panel, lane, decoder(stored, lane, s, m));
          const auto better = S::less(error, least);
          least = S::select(better, error, least);
          scale_code = S::select(better, s, scale_code);
          min_code = S::select(better, m, min_code);
        }
      }
      S::store(stored.scale_code + lane, scale_code);
      S::store(stored.min_code + lane, min_code);
      S::store(sums.error + lane, least);
      sum(nearest, panel, lane, decoder(stored, lane, scale_code, min_code), sums);
    }
  }

  SINQ_TARGET static F clamp(F x, float low, float high) noexcept {
    return S::min(S::max(x, S::set1(low)), S::set1(high));
  }

  /// Sum of w (x - x')^2: counted in steps of the scale; without one, all weights are the offset.
  template <class Grid>
  SINQ_TARGET static F error_under(const Grid& nearest, const BlockPanel& panel, Index lane,
                                   const Decoder& at) noexcept {
    F steps = S::zero();
    for (Index i = 0; i < panel.size; ++i) {
      const F u = S::fma(S::load(panel.x + i * kLanes + lane), at.inverse, at.shift);
      const F d = S::sub(nearest.nearest(u), u);
      steps = S::fma(S::mul(S::load(panel.w + i * kLanes + lane), d), d, steps);
    }
    const F minus_twice = S::mul(S::set1(-2.0F), at.offset);
    const F flat = S::fma(S::mul(at.offset, at.offset), S::load(panel.sum + lane),
                          S::fma(minus_twice, S::load(panel.x1 + lane), S::load(panel.xx + lane)));
    const auto has_steps = S::less(S::zero(), S::abs(at.inverse));
    return S::select(has_steps, S::mul(S::mul(at.scale, at.scale), steps), S::max(flat, S::zero()));
  }

  template <class Grid>
  SINQ_TARGET static void sum(const Grid& nearest, const BlockPanel& panel, Index lane, Decoder at,
                              BlockSums& sums) noexcept {
    F qx = S::zero(), qq = S::zero(), q1 = S::zero();
    for (Index i = 0; i < panel.size; ++i) {
      const F x = S::load(panel.x + i * kLanes + lane);
      const F q = nearest.nearest(S::fma(x, at.inverse, at.shift));
      const F wq = S::mul(S::load(panel.w + i * kLanes + lane), q);
      q1 = S::add(q1, wq);
      qq = S::fma(wq, q, qq);
      qx = S::fma(wq, x, qx);
    }
    S::store(sums.qq + lane, qq);
    S::store(sums.q + lane, q1);
    S::store(sums.qx + lane, qx);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
