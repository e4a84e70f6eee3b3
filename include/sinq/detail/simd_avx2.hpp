#pragma once

#include <sinq/isa.hpp>

#include <immintrin.h>

#include <array>
#include <cstdint>
#include <cstring>

#define SINQ_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define SINQ_INLINE_AVX2 __attribute__((always_inline)) SINQ_TARGET_AVX2 static inline

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Simd;

/// Eight lanes; see Simd<isa::Portable> for what each member does.
template <>
struct Simd<isa::Avx2> {
  static constexpr int kWidth = 8;
  using F = __m256;
  using I = __m256i;
  using M = __m256;

  /// Sets the sign bits of the first n lanes.
  SINQ_INLINE_AVX2 __m256i first(int n) noexcept {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  SINQ_INLINE_AVX2 F zero() noexcept { return _mm256_setzero_ps(); }
  SINQ_INLINE_AVX2 F set1(float x) noexcept { return _mm256_set1_ps(x); }
  SINQ_INLINE_AVX2 F load(const float* p) noexcept { return _mm256_loadu_ps(p); }
  SINQ_INLINE_AVX2 F load_first(const float* p, int n) noexcept { return _mm256_maskload_ps(p, first(n)); }
  SINQ_INLINE_AVX2 void store(float* p, F a) noexcept { _mm256_storeu_ps(p, a); }
  SINQ_INLINE_AVX2 void store_first(float* p, F a, int n) noexcept { _mm256_maskstore_ps(p, first(n), a); }

  SINQ_INLINE_AVX2 F add(F a, F b) noexcept { return _mm256_add_ps(a, b); }
  SINQ_INLINE_AVX2 F sub(F a, F b) noexcept { return _mm256_sub_ps(a, b); }
  SINQ_INLINE_AVX2 F mul(F a, F b) noexcept { return _mm256_mul_ps(a, b); }
  SINQ_INLINE_AVX2 F div(F a, F b) noexcept { return _mm256_div_ps(a, b); }
  SINQ_INLINE_AVX2 F min(F a, F b) noexcept { return _mm256_min_ps(a, b); }
  SINQ_INLINE_AVX2 F max(F a, F b) noexcept { return _mm256_max_ps(a, b); }
  SINQ_INLINE_AVX2 F fma(F a, F b, F c) noexcept { return _mm256_fmadd_ps(a, b, c); }
  SINQ_INLINE_AVX2 F sqrt(F a) noexcept { return _mm256_sqrt_ps(a); }
  SINQ_INLINE_AVX2 F abs(F a) noexcept { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
  SINQ_INLINE_AVX2 F round(F a) noexcept { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  SINQ_INLINE_AVX2 F copysign(F magnitude, F sign) noexcept {
    const __m256 bit = _mm256_set1_ps(-0.0F);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
  }

  SINQ_INLINE_AVX2 M less(F a, F b) noexcept { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  SINQ_INLINE_AVX2 bool any(M m) noexcept { return _mm256_movemask_ps(m) != 0; }
  SINQ_INLINE_AVX2 F select(M m, F a, F b) noexcept { return _mm256_blendv_ps(b, a, m); }

  template <class Op>
  SINQ_INLINE_AVX2 float reduce(F a, Op op) noexcept {
    F r = op(a, _mm256_permute2f128_ps(a, a, 1));
    r = op(r, _mm256_permute_ps(r, 0x4e));
    return _mm256_cvtss_f32(op(r, _mm256_permute_ps(r, 0xb1)));
  }
  template <class Op>
  SINQ_INLINE_AVX2 F reduce_rows(const F (&v)[kWidth], Op op) noexcept {
    F t[4];
    SINQ_UNROLL
    for (int i = 0; i < 4; ++i) {
      t[i] = op(_mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    }
    F u[2];
    SINQ_UNROLL
    for (int i = 0; i < 2; ++i) {
      const __m256d a = _mm256_castps_pd(t[2 * i]);
      const __m256d b = _mm256_castps_pd(t[2 * i + 1]);
      u[i] = op(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    return op(_mm256_permute2f128_ps(u[0], u[1], 0x20), _mm256_permute2f128_ps(u[0], u[1], 0x31));
  }
  struct Add {
    SINQ_TARGET_AVX2 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return add(a, b); }
  };
  struct Min {
    SINQ_TARGET_AVX2 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return min(a, b); }
  };
  struct Max {
    SINQ_TARGET_AVX2 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return max(a, b); }
  };
  SINQ_INLINE_AVX2 float reduce_add(F a) noexcept { return reduce(a, Add{}); }
  SINQ_INLINE_AVX2 float reduce_min(F a) noexcept { return reduce(a, Min{}); }
  SINQ_INLINE_AVX2 float reduce_max(F a) noexcept { return reduce(a, Max{}); }
  SINQ_INLINE_AVX2 F rows_add(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Add{}); }
  SINQ_INLINE_AVX2 F rows_min(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Min{}); }
  SINQ_INLINE_AVX2 F rows_max(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Max{}); }

  SINQ_INLINE_AVX2 void store_codes(std::uint8_t* p, F a, F top) noexcept {
    // Clamped as floats: the conversion of a huge value would be negative.
    store_indices(p, _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(a, zero()), top)));
  }
  SINQ_INLINE_AVX2 F load_codes(const std::uint8_t* p) noexcept { return _mm256_cvtepi32_ps(load_indices(p)); }
  SINQ_INLINE_AVX2 I load_indices(const std::uint8_t* p) noexcept {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  SINQ_INLINE_AVX2 void store_indices(std::uint8_t* p, I a) noexcept {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
  SINQ_INLINE_AVX2 I set1_index(std::int32_t x) noexcept { return _mm256_set1_epi32(x); }
  SINQ_INLINE_AVX2 I add_index(I a, I b) noexcept { return _mm256_add_epi32(a, b); }
  SINQ_INLINE_AVX2 I max_bits(I most, F a) noexcept {
    return _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffffff)));
  }
  SINQ_INLINE_AVX2 std::int32_t reduce_max_index(I a) noexcept {
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
  }
  SINQ_INLINE_AVX2 I keep_index(M m, I a) noexcept { return _mm256_and_si256(_mm256_castps_si256(m), a); }
  SINQ_INLINE_AVX2 F lookup(const float* table, I index) noexcept { return _mm256_i32gather_ps(table, index, 4); }
  SINQ_INLINE_AVX2 F lookup16(const float* table, I index) noexcept {
    const F low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
    const F high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }

  /// 32 codes of kBits bits, a byte each, to 4 * kBits adjoining bytes (kBits < 8): joins neighbours, pairs and fours
  /// within each 64-bit lane, then closes the gaps between lanes.
  static constexpr int kPackedCodes = 32;
  template <int kBits>
  SINQ_INLINE_AVX2 void pack_codes(const std::uint8_t* codes, std::uint8_t* out) noexcept {
    constexpr std::uint64_t kOne = ((std::uint64_t{1} << kBits) - 1) * 0x0001000100010001ULL;
    constexpr std::uint64_t kTwo = ((std::uint64_t{1} << (2 * kBits)) - 1) * 0x0000000100000001ULL;
    constexpr std::uint64_t kFour = (std::uint64_t{1} << (4 * kBits)) - 1;
    __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    x = pick(x, kOne, _mm256_srli_epi64(x, 8 - kBits), kOne << kBits);
    x = pick(x, kTwo, _mm256_srli_epi64(x, 16 - 2 * kBits), kTwo << (2 * kBits));
    x = pick(x, kFour, _mm256_srli_epi64(x, 32 - 4 * kBits), kFour << (4 * kBits));
    alignas(16) static constexpr auto kClose = close_gaps<kBits>();
    x = _mm256_shuffle_epi8(
        x, _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kClose.data()))));
    store_exactly<2 * kBits>(out, _mm256_castsi256_si128(x));
    store_exactly<2 * kBits>(out + 2 * kBits, _mm256_extracti128_si256(x, 1));
  }

  static constexpr int kWords = 16;
  using W = __m256i;
  SINQ_INLINE_AVX2 W load_words(const std::int16_t* p) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  SINQ_INLINE_AVX2 void store_words(std::int16_t* p, W a) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a);
  }
  SINQ_INLINE_AVX2 W set1_word(std::int16_t x) noexcept { return _mm256_set1_epi16(x); }
  SINQ_INLINE_AVX2 W min_words(W a, W b) noexcept { return _mm256_min_epi16(a, b); }
  SINQ_INLINE_AVX2 W add_words(W a, W b) noexcept { return _mm256_adds_epi16(a, b); }
  SINQ_INLINE_AVX2 W sub_words(W a, W b) noexcept { return _mm256_sub_epi16(a, b); }
  SINQ_INLINE_AVX2 W abs_words(W a) noexcept { return _mm256_abs_epi16(a); }
  SINQ_INLINE_AVX2 W mul_high_words(W a, W b) noexcept { return _mm256_mulhi_epu16(a, b); }
  SINQ_INLINE_AVX2 W shift_words(W a, int bits) noexcept { return _mm256_sll_epi16(a, _mm_cvtsi32_si128(bits)); }
  SINQ_INLINE_AVX2 W bit_or_words(W a, W b) noexcept { return _mm256_or_si256(a, b); }
  SINQ_INLINE_AVX2 W select_less_words(W a, W b, W x, W y) noexcept {
    return _mm256_blendv_epi8(y, x, _mm256_cmpgt_epi16(b, a));
  }
  SINQ_INLINE_AVX2 void store_rounded_words(std::int16_t* p, F a) noexcept {
    const __m256i low = _mm256_and_si256(_mm256_cvtps_epi32(a), _mm256_set1_epi32(0xffff));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words);
  }

  SINQ_INLINE_AVX2 F load_f16(const std::uint16_t* p) noexcept {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  SINQ_INLINE_AVX2 void store_f16(std::uint16_t* p, F a) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
  }
  SINQ_INLINE_AVX2 F load_bf16(const std::uint16_t* p) noexcept {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  SINQ_INLINE_AVX2 F load_f64(const double* p) noexcept {
    return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(p + 4)), _mm256_cvtpd_ps(_mm256_loadu_pd(p)));
  }
  SINQ_INLINE_AVX2 void prefetch(const void* p) noexcept { __builtin_prefetch(p, 0, 3); }
  SINQ_INLINE_AVX2 void prefetch_far(const void* p) noexcept { __builtin_prefetch(p, 0, 2); }
  SINQ_INLINE_AVX2 void prefetch_to_write(const void* p) noexcept { __builtin_prefetch(p, 1, 3); }

  SINQ_INLINE_AVX2 void add_to_doubles(double* total, F a) noexcept {
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    _mm256_storeu_pd(total, _mm256_add_pd(_mm256_loadu_pd(total), low));
    _mm256_storeu_pd(total + 4, _mm256_add_pd(_mm256_loadu_pd(total + 4), high));
  }

  SINQ_INLINE_AVX2 F exponent(F a) noexcept {
    const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
  }
  SINQ_INLINE_AVX2 F mantissa(F a) noexcept {
    const __m256i fraction = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffff));
    return _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)));
  }
  SINQ_INLINE_AVX2 F power_of_two(F n) noexcept {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }

  using B = __m256i;
  static constexpr int kBytes = 4 * kWidth;
  static constexpr bool kTernaryLogic = false;
  SINQ_INLINE_AVX2 B load_bytes(const void* p) noexcept { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  SINQ_INLINE_AVX2 void store_bytes(void* p, B a) noexcept { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
  SINQ_INLINE_AVX2 B set1_byte(int x) noexcept { return _mm256_set1_epi8(static_cast<char>(x)); }
  SINQ_INLINE_AVX2 B add_bytes(B a, B b) noexcept { return _mm256_add_epi8(a, b); }
  SINQ_INLINE_AVX2 B add_clamped_bytes(B a, B b) noexcept { return _mm256_adds_epu8(a, b); }
  SINQ_INLINE_AVX2 B sub_clamped_bytes(B a, B b) noexcept { return _mm256_subs_epu8(a, b); }
  SINQ_INLINE_AVX2 B min_bytes(B a, B b) noexcept { return _mm256_min_epu8(a, b); }
  SINQ_INLINE_AVX2 B select_less_bytes(B a, B b, B x, B y) noexcept {
    return _mm256_blendv_epi8(x, y, _mm256_cmpeq_epi8(_mm256_max_epu8(a, b), a));
  }
  SINQ_INLINE_AVX2 B narrow_words(W a, W b) noexcept {
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8);
  }
  SINQ_INLINE_AVX2 B bit_and(B a, B b) noexcept { return _mm256_and_si256(a, b); }
  SINQ_INLINE_AVX2 B bit_or(B a, B b) noexcept { return _mm256_or_si256(a, b); }
  SINQ_INLINE_AVX2 B bit_xor(B a, B b) noexcept { return _mm256_xor_si256(a, b); }
  SINQ_INLINE_AVX2 B keep(B a) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
    __asm__("" : "+x"(a));
#endif
    return a;
  }
  SINQ_INLINE_AVX2 B select_bits(B mask, B a, B b) noexcept { return bit_xor(b, bit_and(bit_xor(a, b), mask)); }
  SINQ_INLINE_AVX2 B xor_and(B a, B b, B mask) noexcept { return bit_and(bit_xor(a, b), mask); }
  SINQ_INLINE_AVX2 B xor_masked(B a, B b, B mask) noexcept { return bit_xor(a, bit_and(b, mask)); }
  template <int N>
  SINQ_INLINE_AVX2 B shift_right(B a) noexcept {
    return _mm256_srli_epi32(a, N);
  }
  template <int N>
  SINQ_INLINE_AVX2 B shift_left(B a) noexcept {
    return _mm256_slli_epi32(a, N);
  }
  SINQ_INLINE_AVX2 B load_table16(const std::uint8_t* p) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  SINQ_INLINE_AVX2 B lookup_bytes16(B table, B codes) noexcept { return _mm256_shuffle_epi8(table, codes); }

 private:
  template <int kBits>
  static constexpr std::array<std::uint8_t, 16> close_gaps() noexcept {
    std::array<std::uint8_t, 16> t{};
    for (std::size_t i = 0; i < 16; ++i) {
      t[i] = static_cast<std::uint8_t>(i < kBits ? i : i < 2 * kBits ? i - kBits + 8 : 0x80);
    }
    return t;
  }
  SINQ_INLINE_AVX2 __m256i pick(__m256i a, std::uint64_t a_mask, __m256i b, std::uint64_t b_mask) noexcept {
    return _mm256_or_si256(_mm256_and_si256(a, _mm256_set1_epi64x(static_cast<long long>(a_mask))),
                           _mm256_and_si256(b, _mm256_set1_epi64x(static_cast<long long>(b_mask))));
  }
  /// The first kBytes (2 to 14) of x, and not one more: two overlapping stores.
  template <int kBytes>
  SINQ_INLINE_AVX2 void store_exactly(std::uint8_t* out, __m128i x) noexcept {
    if constexpr (kBytes >= 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out + kBytes - 8), _mm_srli_si128(x, kBytes - 8));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out), x);
    } else if constexpr (kBytes >= 4) {
      const int high = _mm_cvtsi128_si32(_mm_srli_si128(x, kBytes - 4)), low = _mm_cvtsi128_si32(x);
      std::memcpy(out + kBytes - 4, &high, 4);
      std::memcpy(out, &low, 4);
    } else {
      const int low = _mm_cvtsi128_si32(x);
      std::memcpy(out, &low, kBytes);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
