// Compiled once per instruction set by machine_limits.hpp.
#ifdef SINQ_ISA

namespace sinq::bench {

template <>
struct LimitKernels<SINQ_ISA> {
  using S = detail::Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;

  /// Adds up `count` floats: as fast as they can be read.
  SINQ_TARGET static float read(const float* p, Index count) noexcept {
    constexpr int kSums = 8;
    constexpr Index kAhead = 4096 / Index{sizeof(float)};
    F sum[kSums];
    SINQ_UNROLL
    for (int k = 0; k < kSums; ++k) sum[k] = S::zero();
    Index i = 0;
    for (; i + kSums * kWidth <= count; i += kSums * kWidth) {
      SINQ_UNROLL
      for (int k = 0; k < kSums; ++k) {
        if (k * kWidth % 16 == 0) S::prefetch(p + i + k * kWidth + kAhead);
        sum[k] = S::add(sum[k], S::load(p + i + k * kWidth));
      }
    }
    float total = 0.0F;
    SINQ_UNROLL
    for (int k = 0; k < kSums; ++k) total += S::reduce_add(sum[k]);
    for (; i < count; ++i) total += p[i];
    return total;
  }

  /// `rounds` times eight vector multiply-adds that do not wait for each other.
  SINQ_TARGET static float multiply_add(Index rounds) noexcept {
    constexpr int kChains = 8;
    F x[kChains];
    SINQ_UNROLL
    for (int k = 0; k < kChains; ++k) x[k] = S::set1(static_cast<float>(k));
    const F a = S::set1(0.999F), b = S::set1(0.001F);
    for (Index i = 0; i < rounds; ++i) {
      SINQ_UNROLL
      for (int k = 0; k < kChains; ++k) x[k] = S::fma(x[k], a, b);
    }
    float total = 0.0F;
    SINQ_UNROLL
    for (int k = 0; k < kChains; ++k) total += S::reduce_add(x[k]);
    return total;
  }
  static constexpr Index kOperationsPerRound = 8 * kWidth;
};

}  // namespace sinq::bench

#endif
