// Compiled once per instruction set by least_squares.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Lanes are rows: every quantity of a group is one lane, and nothing is ever summed across lanes.
template <>
struct LeastSquares<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;

  /// The even grid 0, 1 .. top.
  struct EvenGrid {
    F top;
    SINQ_TARGET F nearest(F u) const noexcept { return S::min(S::max(S::round(u), S::zero()), top); }
  };

  /// A table of levels; up to 16 of them are searched and looked up in registers.
  template <int kBits>
  struct TableGrid {
    const float* levels;
    const float* midpoints;
    int bits;
    SINQ_TARGET F nearest(F u) const noexcept {
      const typename S::I index = GroupKernels<SINQ_ISA>::template search<kBits>(midpoints, bits, u);
      return kBits != 0 ? S::lookup16(levels, index) : S::lookup(levels, index);
    }
  };

  /// Fits scale and offset of `count` columns from `col` on for all rows: several clipped starts, each refined by
  /// alternating nearest levels and least squares; the least error seen wins. `columns` is room for count * kWidth
  /// floats.
  SINQ_TARGET static void fit(const TileView& tile, Index col, Index count, const FitGrid& grid, const FitPlan& plan,
                              float* scale, float* zero_point, float* columns) noexcept {
    const bool free_offset = plan.symmetry == Symmetry::kAsymmetric;
    for (Index r0 = 0; r0 < tile.rows; r0 += kWidth) {
      const int rows = tile.rows - r0 < kWidth ? static_cast<int>(tile.rows - r0) : kWidth;
      GroupKernels<SINQ_ISA>::transpose(tile, col, count, r0, rows, columns);
      F low = S::load(columns), high = low, sum = S::zero();
      for (Index c = 0; c < count; ++c) {
        const F y = S::load(columns + c * kWidth);
        low = S::min(low, y);
        high = S::max(high, y);
        sum = S::add(sum, y);
      }
      // Around the mean, so that products do not cancel in groups far from zero.
      const F mean = free_offset ? S::mul(sum, S::set1(1.0F / static_cast<float>(count))) : S::zero();
      for (Index c = 0; c < count; ++c) S::store(columns + c * kWidth, S::sub(S::load(columns + c * kWidth), mean));
      low = S::sub(low, mean);
      high = S::sub(high, mean);

      const F least_scale = S::set1(plan.least_scale);
      Affine best{S::set1(1.0F), S::zero()};
      F least_error = S::set1(std::numeric_limits<float>::infinity());
      for (int k = 0; k < plan.starts; ++k) {
        const F clip = S::set1(plan.clips[k]);
        Affine at;
        if (free_offset) {
          const F middle = S::mul(S::add(low, high), S::set1(0.5F));
          const F range = S::mul(S::sub(high, low), clip);
          at.scale = S::max(S::mul(range, S::set1(1.0F / (grid.highest - grid.lowest))), least_scale);
          at.offset = S::sub(middle, S::mul(at.scale, S::set1(0.5F * (grid.highest + grid.lowest))));
        } else {
          // Half a step inside the range on the side of the fewer levels; see Uniform's symmetric fit.
          const F up = S::mul(S::max(high, S::zero()), S::set1(1.0F / plan.reach_above));
          const F down = S::mul(S::max(S::sub(S::zero(), low), S::zero()), S::set1(1.0F / plan.reach_below));
          at.scale = S::max(S::mul(S::max(up, down), clip), least_scale);
          at.offset = S::mul(at.scale, S::set1(-plan.shared_zero_point));
        }
        descend(grid, columns, count, plan, at, best, least_error);
      }
      const F zero = free_offset ? S::sub(S::zero(), S::div(S::add(best.offset, mean), best.scale))
                                 : S::set1(plan.shared_zero_point);
      // Nothing but zeros: no scale, so that they decode to zero whether or not the grid has that level.
      const auto alive = S::less(S::zero(), S::max(S::abs(S::add(low, mean)), S::abs(S::add(high, mean))));
      S::store_first(scale + r0, S::select(alive, best.scale, S::zero()), rows);
      S::store_first(zero_point + r0, free_offset ? S::select(alive, zero, S::zero()) : zero, rows);
    }
  }

 private:
  struct Affine {
    F scale, offset;
  };

  /// All rounds from the start `at` on: keeps the best scale and offset on the way.
  SINQ_TARGET static void descend(const FitGrid& grid, const float* columns, Index count, const FitPlan& plan,
                                  Affine at, Affine& best, F& least_error) noexcept {
    if (grid.levels == nullptr) {
      return descend_on(EvenGrid{S::set1(grid.highest)}, columns, count, plan, at, best, least_error);
    }
    switch (grid.bits) {
      case 4:
        return descend_on(TableGrid<4>{grid.levels, grid.midpoints, 4}, columns, count, plan, at, best, least_error);
      case 3:
        return descend_on(TableGrid<3>{grid.levels, grid.midpoints, 3}, columns, count, plan, at, best, least_error);
      case 2:
        return descend_on(TableGrid<2>{grid.levels, grid.midpoints, 2}, columns, count, plan, at, best, least_error);
      default:
        return descend_on(TableGrid<0>{grid.levels, grid.midpoints, grid.bits}, columns, count, plan, at, best,
                          least_error);
    }
  }
  template <class Grid>
  SINQ_TARGET static void descend_on(const Grid& grid, const float* columns, Index count, const FitPlan& plan,
                                     Affine at, Affine& best, F& least_error) noexcept {
    const bool free_offset = plan.symmetry == Symmetry::kAsymmetric;
    for (int round = 0; round <= plan.rounds; ++round) {
      refine(grid, columns, count, plan, free_offset, at, best, least_error);
    }
  }

  /// Measures `at`, keeps it if it is the best so far, and moves it to the least-squares solution for its levels.
  template <class Grid>
  SINQ_TARGET static void refine(const Grid& grid, const float* columns, Index count, const FitPlan& plan,
                                 bool free_offset, Affine& at, Affine& best, F& least_error) noexcept {
    const F inverse = S::div(S::set1(1.0F), at.scale);
    const F shift = S::sub(S::zero(), S::mul(at.offset, inverse));
    const F zero_level = S::set1(free_offset ? 0.0F : plan.shared_zero_point);
    F error = S::zero(), v1 = S::zero(), v2 = S::zero(), vy = S::zero(), w1 = S::zero(), y1 = S::zero();
    for (Index c = 0; c < count; ++c) {
      const F y = S::load(columns + c * kWidth);
      const F level = grid.nearest(S::fma(y, inverse, shift));
      const F d = S::sub(S::fma(level, at.scale, at.offset), y);
      const F v = S::sub(level, zero_level);
      const F w = S::set1(plan.col_weights == nullptr ? 1.0F : plan.col_weights[c]);
      const F wv = S::mul(w, v);
      error = S::fma(S::mul(w, d), d, error);
      v1 = S::add(v1, wv);
      v2 = S::fma(wv, v, v2);
      vy = S::fma(wv, y, vy);
      w1 = S::add(w1, w);
      y1 = S::fma(w, y, y1);
    }
    const auto better = S::less(error, least_error);
    least_error = S::select(better, error, least_error);
    best.scale = S::select(better, at.scale, best.scale);
    best.offset = S::select(better, at.offset, best.offset);
    const F tiny = S::set1(1e-12F), least_scale = S::set1(plan.least_scale);
    if (free_offset) {
      const F inverse_w = S::div(S::set1(1.0F), S::max(w1, tiny));
      const F vm = S::mul(v1, inverse_w), ym = S::mul(y1, inverse_w);
      const F covariance = S::sub(S::mul(vy, inverse_w), S::mul(vm, ym));
      const F variance = S::sub(S::mul(v2, inverse_w), S::mul(vm, vm));
      const F next = S::div(covariance, S::max(variance, tiny));
      const auto usable = S::less(least_scale, S::select(S::less(tiny, variance), next, S::zero()));
      at.scale = S::select(usable, next, at.scale);
      at.offset = S::sub(ym, S::mul(at.scale, vm));
    } else {
      const F next = S::div(vy, S::max(v2, tiny));
      at.scale = S::select(S::less(least_scale, next), next, at.scale);
      at.offset = S::mul(at.scale, S::set1(-plan.shared_zero_point));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
