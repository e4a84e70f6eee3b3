// Compiled once per instruction set by aux_encoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct AuxEncode<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using Math = SimdMath<SINQ_ISA>;

  /// Rounds `count` values to binary16, and back to `stored`. Reads and writes `values` and `stored` in whole vectors.
  SINQ_TARGET static void f16(const float* values, Index count, std::uint16_t* out, float* stored) noexcept {
    for (Index i = 0; i < count; i += S::kWidth) {
      std::uint16_t lanes[S::kWidth];
      const bool whole = count - i >= S::kWidth;
      std::uint16_t* to = whole ? out + i : lanes;
      S::store_f16(to, S::load(values + i));
      S::store(stored + i, S::load_f16(to));
      if (!whole) std::memcpy(out + i, lanes, static_cast<std::size_t>(count - i) * sizeof(std::uint16_t));
    }
  }

  /// One block of values as codes 0..top, a byte each. Writes `codes` and `stored` in whole vectors.
  SINQ_TARGET static AuxBlock encode_block(const float* values, Index count, AuxCurve curve, float top,
                                           std::uint8_t* codes, float* stored) noexcept {
    float linear[kAuxBlockRows];
    float low = 0.0F, high = 0.0F;
    for (Index i = 0; i < count; i += S::kWidth) {
      F x = S::load(values + i);
      if (curve == AuxCurve::kLogarithmic) x = Math::log2(S::max(x, S::set1(kLeastLogScale)));
      S::store(linear + i, x);
    }
    low = high = linear[0];
    for (Index i = 1; i < count; ++i) {
      low = linear[i] < low ? linear[i] : low;
      high = linear[i] > high ? linear[i] : high;
    }
    const AuxBlock block = aux_block(low, high, top);
    const float step = half_to_float(block.step);
    const F minimum = S::set1(half_to_float(block.minimum));
    const F steps = S::set1(step), inverse = S::set1(step == 0.0F ? 0.0F : 1.0F / step);
    for (Index i = 0; i < count; i += S::kWidth) {
      S::store_codes(codes + i, S::mul(S::sub(S::load(linear + i), minimum), inverse), S::set1(top));
      F x = S::fma(S::load_codes(codes + i), steps, minimum);
      if (curve == AuxCurve::kLogarithmic) x = Math::exp2(x);
      S::store(stored + i, x);
    }
    return block;
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
