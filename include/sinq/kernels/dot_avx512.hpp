#pragma once

#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/row_unpack.hpp>
#include <sinq/types.hpp>

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define SINQ_TARGET_AVX512VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define SINQ_INLINE_AVX512VNNI __attribute__((always_inline)) SINQ_TARGET_AVX512VNNI static inline

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 reports its own AVX-512 intrinsics, which start from an undefined register.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace sinq::inline SINQ_ABI::detail {

/// Sixty-four bytes; see Dot<isa::Portable> for what each member does.
template <>
struct Dot<isa::Avx512> : Simd<isa::Avx512> {
  using SimdTag = isa::Avx512;
  /// maddubs adds two products into 16 bits: 2 * 128 * 127 still fits.
  static constexpr int kMaxCode = 127;
  static constexpr int kBatchTile = 8;
  static constexpr int kTilePanels = 2;

  SINQ_INLINE_AVX512 B load_first_bytes(const void* p, Index n) noexcept {
    return n >= 64 ? load_bytes(p) : _mm512_maskz_loadu_epi8((1ULL << n) - 1ULL, p);
  }
  SINQ_INLINE_AVX512 B broadcast4(const void* p) noexcept {
    std::int32_t x;
    std::memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
  }
  SINQ_INLINE_AVX512 B merge(B t, B a, B mask) noexcept { return _mm512_ternarylogic_epi32(t, a, mask, 0xf8); }

  template <int MaxCode>
  SINQ_INLINE_AVX512 I dot(I sum, B codes, B x) noexcept {
    const __m512i ones = _mm512_set1_epi16(1);
    if constexpr (MaxCode <= kMaxCode) {
      return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(codes, x), ones));
    } else {
      const __m512i top = set1_byte(0x80);
      sum = dot<kMaxCode>(sum, _mm512_andnot_si512(top, codes), x);
      return dot<kMaxCode>(sum, _mm512_and_si512(top, codes), x);
    }
  }
  static constexpr int kSignedZero = 0;
  static constexpr bool kDotsWhileDecoding = false;
  SINQ_INLINE_AVX512 I dot_signed(I sum, B levels, B x) noexcept {
    // maddubs takes one operand without a sign: |x| times levels that have got the sign of x.
    const __m512i with_sign = _mm512_mask_sub_epi8(levels, _mm512_movepi8_mask(x), _mm512_setzero_si512(), levels);
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), with_sign);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
  template <int N>
  SINQ_INLINE_AVX512 I scale_up(I a) noexcept {
    return _mm512_slli_epi32(a, N);
  }
  template <int N>
  SINQ_INLINE_AVX512 I scale_down(I a) noexcept {
    return _mm512_srai_epi32(a, N);
  }
  SINQ_INLINE_AVX512 F to_float(I a) noexcept { return _mm512_cvtepi32_ps(a); }
  template <int J>
  SINQ_INLINE_AVX512 I byte_of_lane(B a) noexcept {
    if constexpr (J == 3) return _mm512_srli_epi32(a, 24);
    return _mm512_and_si512(_mm512_srli_epi32(a, 8 * J), _mm512_set1_epi32(0xff));
  }
  template <int J>
  SINQ_INLINE_AVX512 I signed_byte_of_lane(B a) noexcept {
    return _mm512_srai_epi32(J == 3 ? a : _mm512_slli_epi32(a, 24 - 8 * J), 24);
  }
  SINQ_INLINE_AVX512 I load_sums(const std::int32_t* p) noexcept { return load_bytes(p); }
  SINQ_INLINE_AVX512 void store_sums(std::int32_t* p, I a) noexcept { store_bytes(p, a); }

  static constexpr bool kFloatTableIsFast = true;
  SINQ_INLINE_AVX512 F load_float_table(const float* p) noexcept { return _mm512_loadu_ps(p); }
  SINQ_INLINE_AVX512 F lookup_float(F table, B lanes) noexcept { return _mm512_permutexvar_ps(lanes, table); }

  SINQ_INLINE_AVX512 B lookup_bytes_from(B table, B codes, int first) noexcept {
    const __m512i at = _mm512_sub_epi8(codes, set1_byte(first));
    return _mm512_shuffle_epi8(table, _mm512_adds_epu8(at, set1_byte(0x70)));
  }

  /// What `unpack` keeps in registers.
  struct Unpacker {
    B words, even, odd, even_scale, odd_scale, mask;
    int bits;
  };
  SINQ_INLINE_AVX512 B lanes(const void* p) noexcept { return load_table16(static_cast<const std::uint8_t*>(p)); }
  SINQ_INLINE_AVX512 Unpacker load_unpacker(const UnpackPlan& plan) noexcept {
    return {_mm512_loadu_si512(plan.words),
            lanes(plan.even),
            lanes(plan.odd),
            lanes(plan.even_scale),
            lanes(plan.odd_scale),
            set1_byte((1 << plan.bits) - 1),
            plan.bits};
  }
  template <int Bits>
  SINQ_INLINE_AVX512 B unpack(const Unpacker& u, const std::uint8_t* p, Index left) noexcept {
    if constexpr (Bits == 8) {
      return load_first_bytes(p, left);
    } else if constexpr (Bits == 4) {
      const __m256i packed = left >= 32 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                                        : _mm256_maskz_loadu_epi8((1U << left) - 1U, p);
      const __m512i wide = _mm512_cvtepu8_epi16(packed);
      return _mm512_and_si512(_mm512_or_si512(wide, _mm512_slli_epi16(wide, 4)), set1_byte(0x0f));
    } else {
      const __m512i lanes = _mm512_permutexvar_epi16(u.words, load_first_bytes(p, left));
      const __m512i even = _mm512_srli_epi16(_mm512_mullo_epi16(_mm512_shuffle_epi8(lanes, u.even), u.even_scale), 8);
      const __m512i odd = _mm512_mullo_epi16(_mm512_shuffle_epi8(lanes, u.odd), u.odd_scale);
      const __m512i low = _mm512_set1_epi16(0xff);
      // (even & low) | (odd & ~low), then the mask of the codes
      return _mm512_and_si512(_mm512_ternarylogic_epi32(low, even, odd, 0xca), u.mask);
    }
  }

  /// Sixteen rows of 16 dwords, `stride` bytes apart, to 16 lines.
  SINQ_INLINE_AVX512 void transpose_quads(const std::uint8_t* rows, Index stride, std::uint8_t* lines) noexcept {
    B t[16], u[16];
    for (int i = 0; i < 8; ++i) {
      const B a = load_bytes(rows + 2 * i * stride);
      const B b = load_bytes(rows + (2 * i + 1) * stride);
      t[2 * i] = _mm512_unpacklo_epi32(a, b);
      t[2 * i + 1] = _mm512_unpackhi_epi32(a, b);
    }
    for (int i = 0; i < 4; ++i) {
      for (int h = 0; h < 2; ++h) {
        u[4 * i + 2 * h] = _mm512_unpacklo_epi64(t[4 * i + h], t[4 * i + h + 2]);
        u[4 * i + 2 * h + 1] = _mm512_unpackhi_epi64(t[4 * i + h], t[4 * i + h + 2]);
      }
    }
    // u[4 * i + c]: dwords c, c + 4, c + 8, c + 12 of rows 4i..4i+3, one dword per 128-bit lane.
    for (int c = 0; c < 4; ++c) {
      const B a = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x88);
      const B b = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88);
      const B x = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xdd);
      const B y = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xdd);
      store_bytes(lines + c * 64, _mm512_shuffle_i32x4(a, b, 0x88));
      store_bytes(lines + (c + 4) * 64, _mm512_shuffle_i32x4(x, y, 0x88));
      store_bytes(lines + (c + 8) * 64, _mm512_shuffle_i32x4(a, b, 0xdd));
      store_bytes(lines + (c + 12) * 64, _mm512_shuffle_i32x4(x, y, 0xdd));
    }
  }
};

template <>
struct Dot<isa::Avx512Vnni> : Dot<isa::Avx512> {
  static constexpr int kMaxCode = 255;

  template <int MaxCode>
  SINQ_INLINE_AVX512VNNI I dot(I sum, B codes, B x) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
    // g++ 12 copies each sum before and after the intrinsic (two moves for one product: a fifth of a batch's time).
    __asm__("vpdpbusd {%2, %1, %0|%0, %1, %2}" : "+v"(sum) : "v"(codes), "v"(x));
    return sum;
#else
    return _mm512_dpbusd_epi32(sum, codes, x);
#endif
  }
  static constexpr int kSignedZero = 128;
  SINQ_INLINE_AVX512VNNI I dot_signed(I sum, B levels, B x) noexcept { return dot<255>(sum, levels, x); }
};

}  // namespace sinq::inline SINQ_ABI::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
