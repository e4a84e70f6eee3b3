// Compiled once per instruction set by dequantize.hpp.
#ifdef SINQ_ISA

namespace sinq::detail {

template <>
struct Dequantize<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// One group of one row: out = ((level - zero_point) * scale) * col_scale * matrix_scale, in that order. `codes` has
  /// room for whole vectors; col_scale and out hold `count` floats.
  SINQ_TARGET static void zero_point_group(const std::uint8_t* codes, Index count, const DequantizeGroup& group,
                                           const float* col_scale, float* out) noexcept {
    const F zero = S::set1(group.offset), scale = S::set1(group.scale), matrix = S::set1(group.matrix_scale);
    for (Index c = 0; c < count; c += S::kWidth) {
      const F level = levels_at(codes + c, group);
      finish(S::mul(S::sub(level, zero), scale), c, count, col_scale, matrix, out);
    }
  }

  /// The same for OffsetKind::kOffset: out = (level * scale + offset) * col_scale * matrix_scale.
  SINQ_TARGET static void offset_group(const std::uint8_t* codes, Index count, const DequantizeGroup& group,
                                       const float* col_scale, float* out) noexcept {
    const F offset = S::set1(group.offset), scale = S::set1(group.scale), matrix = S::set1(group.matrix_scale);
    for (Index c = 0; c < count; c += S::kWidth) {
      finish(S::add(S::mul(levels_at(codes + c, group), scale), offset), c, count, col_scale, matrix, out);
    }
  }

 private:
  SINQ_TARGET static F levels_at(const std::uint8_t* codes, const DequantizeGroup& group) noexcept {
    if (group.levels == nullptr) return S::load_codes(codes);
    return group.bits <= 4 ? S::lookup16(group.levels, S::load_indices(codes))
                           : S::lookup(group.levels, S::load_indices(codes));
  }

  SINQ_TARGET static void finish(F w, Index c, Index count, const float* col_scale, F matrix, float* out) noexcept {
    const Index left = count - c;
    if (left >= S::kWidth) {
      S::store(out + c, S::mul(S::mul(w, S::load(col_scale + c)), matrix));
    } else {
      const int n = static_cast<int>(left);
      S::store_first(out + c, S::mul(S::mul(w, S::load_first(col_scale + c, n)), matrix), n);
    }
  }
};

}  // namespace sinq::detail

#endif
