// Compiled once per instruction set by tile_apply.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct TileApply<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;

  /// to[r,c] = from[r,c] * inv_col[c] * inv_row[r]; `to` may be `from`. Reads inv_col in whole vectors.
  SINQ_TARGET static void normalize(const TileView& from, const float* inv_row, const float* inv_col,
                                    const TileView& to) noexcept {
    for (Index r = 0; r < from.rows; ++r) {
      const float* x = from.row(r);
      float* y = to.row(r);
      const S::F row = S::set1(inv_row[r]);
      for (Index c = 0; c < from.cols; c += S::kWidth) {
        S::store(y + c, S::mul(S::mul(S::load(x + c), S::load(inv_col + c)), row));
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
