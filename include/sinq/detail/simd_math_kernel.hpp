// Compiled once per instruction set by simd_math.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct SimdMath<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// log2 of positive normal numbers, to about one part in 10^7.
  SINQ_TARGET static F log2(F x) noexcept {
    // m in [sqrt(1/2), sqrt(2)); log2(m) = 2 / ln 2 * atanh(s), s = (m - 1) / (m + 1), |s| < 0.172.
    F e = S::exponent(x);
    F m = S::mantissa(x);
    const auto low = S::less(m, S::set1(1.41421356F));
    e = S::select(low, e, S::add(e, S::set1(1.0F)));
    m = S::select(low, m, S::mul(m, S::set1(0.5F)));
    const F s = S::div(S::sub(m, S::set1(1.0F)), S::add(m, S::set1(1.0F)));
    const F s2 = S::mul(s, s);
    constexpr float kTwoOverLn2 = 2.88539008F;
    F p = S::set1(kTwoOverLn2 / 9.0F);
    p = S::fma(p, s2, S::set1(kTwoOverLn2 / 7.0F));
    p = S::fma(p, s2, S::set1(kTwoOverLn2 / 5.0F));
    p = S::fma(p, s2, S::set1(kTwoOverLn2 / 3.0F));
    p = S::fma(p, s2, S::set1(kTwoOverLn2));
    return S::fma(p, s, e);
  }

  /// 2^x for x in [-126, 127], to about one part in 10^7.
  SINQ_TARGET static F exp2(F x) noexcept {
    const F n = S::round(x);
    const F f = S::mul(S::sub(x, n), S::set1(0.693147181F));  // e^f, |f| < 0.347: Taylor to f^7
    F p = S::set1(1.0F / 5040.0F);
    p = S::fma(p, f, S::set1(1.0F / 720.0F));
    p = S::fma(p, f, S::set1(1.0F / 120.0F));
    p = S::fma(p, f, S::set1(1.0F / 24.0F));
    p = S::fma(p, f, S::set1(1.0F / 6.0F));
    p = S::fma(p, f, S::set1(0.5F));
    p = S::fma(p, f, S::set1(1.0F));
    p = S::fma(p, f, S::set1(1.0F));
    return S::mul(p, S::power_of_two(n));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
