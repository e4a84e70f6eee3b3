#pragma once

#include <sinq/detail/simd.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// The few operations on doubles that sums of products need: vectors as long as those of Simd<Tag> have bytes.
template <class Tag>
struct SimdDouble;

template <>
struct SimdDouble<isa::Portable> {
  static constexpr int kWidth = 2;
  struct D {
    double v[kWidth];
  };
  static D zero() noexcept { return {}; }
  static D set1(double x) noexcept { return {{x, x}}; }
  static D load(const double* p) noexcept { return {{p[0], p[1]}}; }
  static void store(double* p, D a) noexcept {
    p[0] = a.v[0];
    p[1] = a.v[1];
  }
  /// a * b + c, fused where the machine does that.
  static D fma(D a, D b, D c) noexcept { return {{a.v[0] * b.v[0] + c.v[0], a.v[1] * b.v[1] + c.v[1]}}; }
};

#if SINQ_X86
template <>
struct SimdDouble<isa::Avx2> {
  static constexpr int kWidth = 4;
  using D = __m256d;
  SINQ_INLINE_AVX2 D zero() noexcept { return _mm256_setzero_pd(); }
  SINQ_INLINE_AVX2 D set1(double x) noexcept { return _mm256_set1_pd(x); }
  SINQ_INLINE_AVX2 D load(const double* p) noexcept { return _mm256_loadu_pd(p); }
  SINQ_INLINE_AVX2 void store(double* p, D a) noexcept { _mm256_storeu_pd(p, a); }
  SINQ_INLINE_AVX2 D fma(D a, D b, D c) noexcept { return _mm256_fmadd_pd(a, b, c); }
};

template <>
struct SimdDouble<isa::Avx512> {
  static constexpr int kWidth = 8;
  using D = __m512d;
  SINQ_INLINE_AVX512 D zero() noexcept { return _mm512_setzero_pd(); }
  SINQ_INLINE_AVX512 D set1(double x) noexcept { return _mm512_set1_pd(x); }
  SINQ_INLINE_AVX512 D load(const double* p) noexcept { return _mm512_loadu_pd(p); }
  SINQ_INLINE_AVX512 void store(double* p, D a) noexcept { _mm512_storeu_pd(p, a); }
  SINQ_INLINE_AVX512 D fma(D a, D b, D c) noexcept { return _mm512_fmadd_pd(a, b, c); }
};
#endif

#if SINQ_NEON
template <>
struct SimdDouble<isa::Neon> {
  static constexpr int kWidth = 2;
  using D = float64x2_t;
  static D zero() noexcept { return vdupq_n_f64(0.0); }
  static D set1(double x) noexcept { return vdupq_n_f64(x); }
  static D load(const double* p) noexcept { return vld1q_f64(p); }
  static void store(double* p, D a) noexcept { vst1q_f64(p, a); }
  static D fma(D a, D b, D c) noexcept { return vfmaq_f64(c, a, b); }
};
#endif

}  // namespace sinq::inline SINQ_ABI::detail
