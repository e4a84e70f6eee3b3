// Compiled once per instruction set by zero_point_range.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct ZeroPointSteps<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// Brings zero points into the range, and folds the row factors into the scales. Returns the greatest folded scale.
  /// Arrays hold whole vectors.
  SINQ_TARGET static float fold(const ZeroPointRange& range, float* scale, float* zero, const float* row, Index rows,
                                float* folded) noexcept {
    const F least = S::set1(range.least), greatest = S::set1(range.greatest);
    F most = S::zero();
    for (Index r = 0; r < rows; r += S::kWidth) {
      const int n = rows - r < S::kWidth ? static_cast<int>(rows - r) : S::kWidth;
      const F z = S::load_first(zero + r, n);
      F s = S::load_first(scale + r, n);
      if (range.bounded) {
        const auto below = S::less(z, least), above = S::less(greatest, z);
        if (S::any(below) || S::any(above)) {
          const F lowest = S::set1(range.lowest_level), highest = S::set1(range.highest_level);
          // The end of the group's range that is further from zero stays where it is.
          const F up = S::mul(s, S::div(S::sub(highest, z), S::sub(highest, least)));
          const F down = S::mul(s, S::div(S::sub(z, lowest), S::sub(greatest, lowest)));
          s = S::select(below, up, S::select(above, down, s));
          S::store(zero + r, S::select(below, least, S::select(above, greatest, z)));
          S::store(scale + r, s);
        }
      }
      const F f = S::mul(s, S::load_first(row + r, n));
      S::store(folded + r, f);
      most = S::max(most, f);
    }
    return S::reduce_max(most);
  }

  /// Moves zero points so that the lower ends of the ranges stay where they were when `scale` became `rounded`.
  SINQ_TARGET static void follow(const ZeroPointRange& range, const float* scale, const float* rounded,
                                 const float* zero, Index rows, float* out) noexcept {
    const F least = S::set1(range.least), greatest = S::set1(range.greatest);
    for (Index r = 0; r < rows; r += S::kWidth) {
      const F z = S::load(zero + r), to = S::load(rounded + r);
      F moved = S::mul(z, S::div(S::load(scale + r), to));
      if (range.bounded) moved = S::min(S::max(moved, least), greatest);
      S::store(out + r, S::select(S::less(S::zero(), to), moved, z));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
