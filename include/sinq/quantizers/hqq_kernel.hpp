// Compiled once per instruction set by hqq.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct HqqSteps<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// Runs all iterations on the `count` columns x of one group, in units of the tile. Writes the zero point that
  /// follows each iteration and adds the summed |error| of each iteration to `error`.
  SINQ_TARGET static void run(const float* x, Index count, const HqqGroup& group, const HqqSettings& settings,
                              float* zero_points, double* error) noexcept {
    const F inverse_scale = S::set1(group.inverse_scale), scale = S::set1(1.0F / group.inverse_scale);
    const F unit = S::set1(settings.inverse_unit), top = S::set1(settings.top);
    const Index whole = count / S::kWidth * S::kWidth;
    const int tail = static_cast<int>(count - whole);
    float ones[S::kWidth];
    S::store(ones, S::set1(1.0F));
    const F tail_mask = S::load_first(ones, tail);
    float zero_point = group.zero_point;
    for (int k = 0; k < settings.iterations; ++k) {
      const F z = S::set1(zero_point);
      F zero_sum = S::zero(), error_sum = S::zero();
      for (Index c = 0; c < count; c += S::kWidth) {
        const F w = S::mul(c < whole ? S::load(x + c) : S::load_first(x + c, tail), unit);
        const F q = S::min(S::max(S::round(S::fma(w, inverse_scale, z)), S::zero()), top);
        const F d = S::sub(w, S::mul(S::sub(q, z), scale));
        F magnitude = S::abs(d);
        // Where nothing exceeds the threshold, which is nearly everywhere, the proximal step is zero.
        F shrunk = w;
        if (S::any(S::less(S::set1(settings.threshold), magnitude))) {
          const F m = S::min(S::max(magnitude, S::set1(1e-5F)), S::set1(1e5F));
          const F power = SimdMath<SINQ_ISA>::exp2(S::mul(SimdMath<SINQ_ISA>::log2(m), S::set1(settings.p - 1.0F)));
          const F e = S::max(S::sub(m, S::mul(power, S::set1(settings.inverse_beta))), S::zero());
          shrunk = S::sub(w, S::copysign(e, d));
        }
        F next = S::sub(q, S::mul(shrunk, inverse_scale));
        if (c >= whole) {
          next = S::mul(next, tail_mask);
          magnitude = S::mul(magnitude, tail_mask);
        }
        zero_sum = S::add(zero_sum, next);
        error_sum = S::add(error_sum, magnitude);
      }
      zero_point = S::reduce_add(zero_sum) / static_cast<float>(count);
      zero_points[k] = zero_point;
      error[k] += static_cast<double>(S::reduce_add(error_sum));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
