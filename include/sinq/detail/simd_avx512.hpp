#pragma once

#include <sinq/isa.hpp>

#include <immintrin.h>

#include <cstdint>

#define SINQ_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define SINQ_INLINE_AVX512 __attribute__((always_inline)) SINQ_TARGET_AVX512 static inline

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 reports its own AVX-512 intrinsics, which start from an undefined register; without optimization they are
// macros, which turn masks into signed numbers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Simd;

/// Sixteen lanes; see Simd<isa::Portable> for what each member does.
template <>
struct Simd<isa::Avx512> {
  static constexpr int kWidth = 16;
  using F = __m512;
  using I = __m512i;
  using M = __mmask16;

  SINQ_INLINE_AVX512 __mmask16 first(int n) noexcept { return static_cast<__mmask16>((1U << n) - 1U); }

  SINQ_INLINE_AVX512 F zero() noexcept { return _mm512_setzero_ps(); }
  SINQ_INLINE_AVX512 F set1(float x) noexcept { return _mm512_set1_ps(x); }
  SINQ_INLINE_AVX512 F load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  SINQ_INLINE_AVX512 F load_first(const float* p, int n) noexcept { return _mm512_maskz_loadu_ps(first(n), p); }
  SINQ_INLINE_AVX512 void store(float* p, F a) noexcept { _mm512_storeu_ps(p, a); }
  SINQ_INLINE_AVX512 void store_first(float* p, F a, int n) noexcept { _mm512_mask_storeu_ps(p, first(n), a); }

  SINQ_INLINE_AVX512 F add(F a, F b) noexcept { return _mm512_add_ps(a, b); }
  SINQ_INLINE_AVX512 F sub(F a, F b) noexcept { return _mm512_sub_ps(a, b); }
  SINQ_INLINE_AVX512 F mul(F a, F b) noexcept { return _mm512_mul_ps(a, b); }
  SINQ_INLINE_AVX512 F div(F a, F b) noexcept { return _mm512_div_ps(a, b); }
  SINQ_INLINE_AVX512 F min(F a, F b) noexcept { return _mm512_min_ps(a, b); }
  SINQ_INLINE_AVX512 F max(F a, F b) noexcept { return _mm512_max_ps(a, b); }
  SINQ_INLINE_AVX512 F fma(F a, F b, F c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  SINQ_INLINE_AVX512 F sqrt(F a) noexcept { return _mm512_sqrt_ps(a); }
  SINQ_INLINE_AVX512 F abs(F a) noexcept { return _mm512_abs_ps(a); }
  SINQ_INLINE_AVX512 F round(F a) noexcept {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  SINQ_INLINE_AVX512 F copysign(F magnitude, F sign) noexcept {
    const __m512 bit = _mm512_set1_ps(-0.0F);
    return _mm512_or_ps(_mm512_andnot_ps(bit, magnitude), _mm512_and_ps(bit, sign));
  }

  SINQ_INLINE_AVX512 M less(F a, F b) noexcept { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  SINQ_INLINE_AVX512 bool any(M m) noexcept { return m != 0; }
  SINQ_INLINE_AVX512 F select(M m, F a, F b) noexcept { return _mm512_mask_blend_ps(m, b, a); }

  SINQ_INLINE_AVX512 float reduce_add(F a) noexcept { return _mm512_reduce_add_ps(a); }
  SINQ_INLINE_AVX512 float reduce_min(F a) noexcept { return _mm512_reduce_min_ps(a); }
  SINQ_INLINE_AVX512 float reduce_max(F a) noexcept { return _mm512_reduce_max_ps(a); }

  /// Transposes and reduces sixteen rows together: 15 operations and 30 shuffles instead of 16 separate trees.
  template <class Op>
  SINQ_INLINE_AVX512 F reduce_rows(const F (&v)[kWidth], Op op) noexcept {
    F t[8];
    SINQ_UNROLL
    for (int i = 0; i < 8; ++i) {
      t[i] = op(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]), _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
    }
    F u[4];
    SINQ_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m512d a = _mm512_castps_pd(t[2 * i]);
      const __m512d b = _mm512_castps_pd(t[2 * i + 1]);
      u[i] = op(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    const F x = op(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd));
    const F y = op(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xdd));
    return op(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xdd));
  }
  struct Add {
    SINQ_TARGET_AVX512 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return add(a, b); }
  };
  struct Min {
    SINQ_TARGET_AVX512 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return min(a, b); }
  };
  struct Max {
    SINQ_TARGET_AVX512 __attribute__((always_inline)) F operator()(F a, F b) const noexcept { return max(a, b); }
  };
  SINQ_INLINE_AVX512 F rows_add(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Add{}); }
  SINQ_INLINE_AVX512 F rows_min(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Min{}); }
  SINQ_INLINE_AVX512 F rows_max(const F (&v)[kWidth]) noexcept { return reduce_rows(v, Max{}); }

  SINQ_INLINE_AVX512 void store_codes(std::uint8_t* p, F a, F top) noexcept {
    // Clamped as floats: the conversion of a huge value would be negative.
    const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(a, zero()), top));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(q));
  }
  SINQ_INLINE_AVX512 F load_codes(const std::uint8_t* p) noexcept { return _mm512_cvtepi32_ps(load_indices(p)); }
  SINQ_INLINE_AVX512 I load_indices(const std::uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  SINQ_INLINE_AVX512 void store_indices(std::uint8_t* p, I a) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }
  SINQ_INLINE_AVX512 I set1_index(std::int32_t x) noexcept { return _mm512_set1_epi32(x); }
  SINQ_INLINE_AVX512 I add_index(I a, I b) noexcept { return _mm512_add_epi32(a, b); }
  SINQ_INLINE_AVX512 I max_bits(I most, F a) noexcept {
    return _mm512_max_epi32(most, _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)));
  }
  SINQ_INLINE_AVX512 std::int32_t reduce_max_index(I a) noexcept { return _mm512_reduce_max_epi32(a); }
  SINQ_INLINE_AVX512 I keep_index(M m, I a) noexcept { return _mm512_maskz_mov_epi32(m, a); }
  SINQ_INLINE_AVX512 F lookup(const float* table, I index) noexcept { return _mm512_i32gather_ps(index, table, 4); }
  SINQ_INLINE_AVX512 F lookup16(const float* table, I index) noexcept {
    return _mm512_permutexvar_ps(index, _mm512_loadu_ps(table));
  }

  /// Up to 64 codes (`count`, a multiple of 8) of kBits bits, a byte each, to count / 8 * kBits adjoining bytes (kBits
  /// < 8): joins neighbours, pairs and fours within each 64-bit lane, then closes the gaps between lanes.
  template <int kBits>
  SINQ_INLINE_AVX512 void pack_first(const std::uint8_t* codes, int count, std::uint8_t* out) noexcept {
    constexpr std::uint64_t kOne = ((std::uint64_t{1} << kBits) - 1) * 0x0001000100010001ULL;
    constexpr std::uint64_t kTwo = ((std::uint64_t{1} << (2 * kBits)) - 1) * 0x0000000100000001ULL;
    constexpr std::uint64_t kFour = (std::uint64_t{1} << (4 * kBits)) - 1;
    const auto words = static_cast<__mmask8>((1U << (count / 8)) - 1U);
    __m512i x = _mm512_maskz_loadu_epi64(words, codes);
    x = pick(x, kOne, _mm512_srli_epi64(x, 8 - kBits), kOne << kBits);
    x = pick(x, kTwo, _mm512_srli_epi64(x, 16 - 2 * kBits), kTwo << (2 * kBits));
    x = pick(x, kFour, _mm512_srli_epi64(x, 32 - 4 * kBits), kFour << (4 * kBits));
    if constexpr (kBits == 4) {
      _mm512_mask_cvtepi64_storeu_epi32(out, words, x);
    } else if constexpr (kBits == 2) {
      _mm512_mask_cvtepi64_storeu_epi16(out, words, x);
    } else if constexpr (kBits == 1) {
      _mm512_mask_cvtepi64_storeu_epi8(out, words, x);
    } else {
      x = _mm512_shuffle_epi8(
          x, _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(Gaps<kBits>::kClose))));
      const std::uint64_t bytes = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << (count / 8 * kBits)) - 1;
      constexpr std::uint64_t kLane = (1U << (2 * kBits)) - 1U;
      store_lane(out, bytes & kLane, _mm512_castsi512_si128(x));
      store_lane(out + 2 * kBits, (bytes >> (2 * kBits)) & kLane, _mm512_extracti32x4_epi32(x, 1));
      store_lane(out + 4 * kBits, (bytes >> (4 * kBits)) & kLane, _mm512_extracti32x4_epi32(x, 2));
      store_lane(out + 6 * kBits, (bytes >> (6 * kBits)) & kLane, _mm512_extracti32x4_epi32(x, 3));
    }
  }

  /// 64 codes of kBits bits to a byte each; reads exactly 8 * kBits bytes.
  template <int kBits>
  SINQ_INLINE_AVX512 __m512i unpack64(const std::uint8_t* packed) noexcept {
    constexpr std::uint64_t kOne = ((std::uint64_t{1} << kBits) - 1) * 0x0001000100010001ULL;
    constexpr std::uint64_t kTwo = ((std::uint64_t{1} << (2 * kBits)) - 1) * 0x0000000100000001ULL;
    constexpr std::uint64_t kFour = (std::uint64_t{1} << (4 * kBits)) - 1;
    __m512i x;
    if constexpr (kBits == 4) {
      x = _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed)));
    } else if constexpr (kBits == 2) {
      x = _mm512_cvtepu16_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    } else if constexpr (kBits == 1) {
      x = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed)));
    } else {
      constexpr auto kPresent = static_cast<__mmask16>((1U << (2 * kBits)) - 1U);
      x = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(kPresent, packed));
      x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(kPresent, packed + 2 * kBits), 1);
      x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(kPresent, packed + 4 * kBits), 2);
      x = _mm512_inserti32x4(x, _mm_maskz_loadu_epi8(kPresent, packed + 6 * kBits), 3);
      x = _mm512_shuffle_epi8(
          x, _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(Gaps<kBits>::kOpen))));
    }
    x = pick(x, kFour, _mm512_slli_epi64(x, 32 - 4 * kBits), kFour << 32);
    x = pick(x, kTwo, _mm512_slli_epi64(x, 16 - 2 * kBits), kTwo << 16);
    return pick(x, kOne, _mm512_slli_epi64(x, 8 - kBits), kOne << 8);
  }
  template <int kBits>
  SINQ_INLINE_AVX512 void unpack64(const std::uint8_t* packed, std::uint8_t* codes) noexcept {
    _mm512_storeu_si512(codes, unpack64<kBits>(packed));
  }

  static constexpr int kWords = 32;
  using W = __m512i;
  SINQ_INLINE_AVX512 W load_words(const std::int16_t* p) noexcept { return _mm512_loadu_si512(p); }
  SINQ_INLINE_AVX512 void store_words(std::int16_t* p, W a) noexcept { _mm512_storeu_si512(p, a); }
  SINQ_INLINE_AVX512 W set1_word(std::int16_t x) noexcept { return _mm512_set1_epi16(x); }
  SINQ_INLINE_AVX512 W min_words(W a, W b) noexcept { return _mm512_min_epi16(a, b); }
  SINQ_INLINE_AVX512 W add_words(W a, W b) noexcept { return _mm512_adds_epi16(a, b); }
  SINQ_INLINE_AVX512 W sub_words(W a, W b) noexcept { return _mm512_sub_epi16(a, b); }
  SINQ_INLINE_AVX512 W abs_words(W a) noexcept { return _mm512_abs_epi16(a); }
  SINQ_INLINE_AVX512 W mul_high_words(W a, W b) noexcept { return _mm512_mulhi_epu16(a, b); }
  SINQ_INLINE_AVX512 W shift_words(W a, int bits) noexcept { return _mm512_sll_epi16(a, _mm_cvtsi32_si128(bits)); }
  SINQ_INLINE_AVX512 W bit_or_words(W a, W b) noexcept { return _mm512_or_si512(a, b); }
  SINQ_INLINE_AVX512 W select_less_words(W a, W b, W x, W y) noexcept {
    return _mm512_mask_mov_epi16(y, _mm512_cmplt_epi16_mask(a, b), x);
  }
  SINQ_INLINE_AVX512 void store_rounded_words(std::int16_t* p, F a) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(a)));
  }

  SINQ_INLINE_AVX512 F load_f16(const std::uint16_t* p) noexcept {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  SINQ_INLINE_AVX512 void store_f16(std::uint16_t* p, F a) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  SINQ_INLINE_AVX512 F load_bf16(const std::uint16_t* p) noexcept {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  SINQ_INLINE_AVX512 F load_f64(const double* p) noexcept {
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(p));
    const __m256 high = _mm512_cvtpd_ps(_mm512_loadu_pd(p + 8));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  }
  SINQ_INLINE_AVX512 void prefetch(const void* p) noexcept { __builtin_prefetch(p, 0, 3); }
  SINQ_INLINE_AVX512 void prefetch_far(const void* p) noexcept { __builtin_prefetch(p, 0, 2); }
  SINQ_INLINE_AVX512 void prefetch_to_write(const void* p) noexcept { __builtin_prefetch(p, 1, 3); }

  SINQ_INLINE_AVX512 void add_to_doubles(double* total, F a) noexcept {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
    _mm512_storeu_pd(total, _mm512_add_pd(_mm512_loadu_pd(total), low));
    _mm512_storeu_pd(total + 8, _mm512_add_pd(_mm512_loadu_pd(total + 8), high));
  }

  SINQ_INLINE_AVX512 F exponent(F a) noexcept { return _mm512_getexp_ps(a); }
  SINQ_INLINE_AVX512 F mantissa(F a) noexcept { return _mm512_getmant_ps(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); }
  SINQ_INLINE_AVX512 F power_of_two(F n) noexcept { return _mm512_scalef_ps(set1(1.0F), n); }

  using B = __m512i;
  static constexpr int kBytes = 4 * kWidth;
  static constexpr bool kTernaryLogic = true;
  SINQ_INLINE_AVX512 B load_bytes(const void* p) noexcept { return _mm512_loadu_si512(p); }
  SINQ_INLINE_AVX512 void store_bytes(void* p, B a) noexcept { _mm512_storeu_si512(p, a); }
  SINQ_INLINE_AVX512 B set1_byte(int x) noexcept { return _mm512_set1_epi8(static_cast<char>(x)); }
  SINQ_INLINE_AVX512 B add_bytes(B a, B b) noexcept { return _mm512_add_epi8(a, b); }
  SINQ_INLINE_AVX512 B add_clamped_bytes(B a, B b) noexcept { return _mm512_adds_epu8(a, b); }
  SINQ_INLINE_AVX512 B sub_clamped_bytes(B a, B b) noexcept { return _mm512_subs_epu8(a, b); }
  SINQ_INLINE_AVX512 B min_bytes(B a, B b) noexcept { return _mm512_min_epu8(a, b); }
  SINQ_INLINE_AVX512 B select_less_bytes(B a, B b, B x, B y) noexcept {
    return _mm512_mask_mov_epi8(y, _mm512_cmplt_epu8_mask(a, b), x);
  }
  SINQ_INLINE_AVX512 B narrow_words(W a, W b) noexcept {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm512_permutexvar_epi64(order, _mm512_packus_epi16(a, b));
  }
  SINQ_INLINE_AVX512 B bit_and(B a, B b) noexcept { return _mm512_and_si512(a, b); }
  SINQ_INLINE_AVX512 B bit_or(B a, B b) noexcept { return _mm512_or_si512(a, b); }
  SINQ_INLINE_AVX512 B bit_xor(B a, B b) noexcept { return _mm512_xor_si512(a, b); }
  SINQ_INLINE_AVX512 B keep(B a) noexcept { return a; }
  SINQ_INLINE_AVX512 B select_bits(B mask, B a, B b) noexcept { return _mm512_ternarylogic_epi32(a, b, mask, 0xe4); }
  SINQ_INLINE_AVX512 B xor_and(B a, B b, B mask) noexcept { return _mm512_ternarylogic_epi32(a, b, mask, 0x28); }
  SINQ_INLINE_AVX512 B xor_masked(B a, B b, B mask) noexcept { return _mm512_ternarylogic_epi32(a, b, mask, 0x78); }
  template <int N>
  SINQ_INLINE_AVX512 B shift_right(B a) noexcept {
    return _mm512_srli_epi32(a, N);
  }
  template <int N>
  SINQ_INLINE_AVX512 B shift_left(B a) noexcept {
    return _mm512_slli_epi32(a, N);
  }
  SINQ_INLINE_AVX512 B load_table16(const std::uint8_t* p) noexcept {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  SINQ_INLINE_AVX512 B lookup_bytes16(B table, B codes) noexcept { return _mm512_shuffle_epi8(table, codes); }

 private:
  /// Byte shuffles of a 128-bit lane between two words of eight bytes and 2 * kBits adjoining bytes.
  template <int kBits>
  struct Gaps {
    struct Table {
      alignas(16) std::uint8_t close[16], open[16];
    };
    static constexpr Table make() noexcept {
      Table t{};
      for (int i = 0; i < 16; ++i) {
        t.close[i] = static_cast<std::uint8_t>(i < kBits ? i : i < 2 * kBits ? i - kBits + 8 : 0x80);
        t.open[i] = static_cast<std::uint8_t>(i % 8 < kBits ? i / 8 * kBits + i % 8 : 0x80);
      }
      return t;
    }
    static constexpr Table kTable = make();
    static constexpr const std::uint8_t* kClose = kTable.close;
    static constexpr const std::uint8_t* kOpen = kTable.open;
  };

  SINQ_INLINE_AVX512 void store_lane(std::uint8_t* out, std::uint64_t bytes, __m128i x) noexcept {
    _mm_mask_storeu_epi8(out, static_cast<__mmask16>(bytes), x);
  }
  SINQ_INLINE_AVX512 __m512i pick(__m512i a, std::uint64_t a_mask, __m512i b, std::uint64_t b_mask) noexcept {
    return _mm512_or_si512(_mm512_and_si512(a, _mm512_set1_epi64(static_cast<long long>(a_mask))),
                           _mm512_and_si512(b, _mm512_set1_epi64(static_cast<long long>(b_mask))));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
