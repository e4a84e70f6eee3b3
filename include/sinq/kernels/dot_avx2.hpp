#pragma once

#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/row_unpack.hpp>
#include <sinq/types.hpp>

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Thirty-two bytes; see Dot<isa::Portable> for what each member does.
template <>
struct Dot<isa::Avx2> : Simd<isa::Avx2> {
  using SimdTag = isa::Avx2;
  /// maddubs adds two products into 16 bits: 2 * 128 * 127 still fits.
  static constexpr int kMaxCode = 127;
  static constexpr int kBatchTile = 4;
  static constexpr int kTilePanels = 1;

  SINQ_INLINE_AVX2 B load_first_bytes(const void* p, Index n) noexcept {
    if (n >= kBytes) return load_bytes(p);
    alignas(32) std::uint8_t bytes[kBytes] = {};
    std::memcpy(bytes, p, static_cast<std::size_t>(n));
    return load_bytes(bytes);
  }
  SINQ_INLINE_AVX2 B broadcast4(const void* p) noexcept {
    std::int32_t x;
    std::memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
  }
  SINQ_INLINE_AVX2 B merge(B t, B a, B mask) noexcept { return bit_or(t, bit_and(a, mask)); }

  template <int MaxCode>
  SINQ_INLINE_AVX2 I dot(I sum, B codes, B x) noexcept {
    const __m256i ones = _mm256_set1_epi16(1);
    if constexpr (MaxCode <= kMaxCode) {
      return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), ones));
    } else {
      const __m256i top = set1_byte(0x80);
      sum = dot<kMaxCode>(sum, _mm256_andnot_si256(top, codes), x);
      return dot<kMaxCode>(sum, _mm256_and_si256(top, codes), x);
    }
  }
  static constexpr int kSignedZero = 0;
  static constexpr bool kDotsWhileDecoding = true;
  SINQ_INLINE_AVX2 I dot_signed(I sum, B levels, B x) noexcept {
    // maddubs takes one operand without a sign: |x| times levels that have got the sign of x.
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(levels, x));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  template <int N>
  SINQ_INLINE_AVX2 I scale_up(I a) noexcept {
    return _mm256_slli_epi32(a, N);
  }
  template <int N>
  SINQ_INLINE_AVX2 I scale_down(I a) noexcept {
    return _mm256_srai_epi32(a, N);
  }
  SINQ_INLINE_AVX2 F to_float(I a) noexcept { return _mm256_cvtepi32_ps(a); }
  template <int J>
  SINQ_INLINE_AVX2 I byte_of_lane(B a) noexcept {
    if constexpr (J == 3) return _mm256_srli_epi32(a, 24);
    return _mm256_and_si256(_mm256_srli_epi32(a, 8 * J), _mm256_set1_epi32(0xff));
  }
  template <int J>
  SINQ_INLINE_AVX2 I signed_byte_of_lane(B a) noexcept {
    return _mm256_srai_epi32(J == 3 ? a : _mm256_slli_epi32(a, 24 - 8 * J), 24);
  }
  SINQ_INLINE_AVX2 I load_sums(const std::int32_t* p) noexcept { return load_bytes(p); }
  SINQ_INLINE_AVX2 void store_sums(std::int32_t* p, I a) noexcept { store_bytes(p, a); }

  static constexpr bool kFloatTableIsFast = false;
  struct FloatTable {
    F low, high;
  };
  SINQ_INLINE_AVX2 FloatTable load_float_table(const float* p) noexcept {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  SINQ_INLINE_AVX2 F lookup_float(const FloatTable& table, B lanes) noexcept {
    const F low = _mm256_permutevar8x32_ps(table.low, lanes);
    const F high = _mm256_permutevar8x32_ps(table.high, lanes);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 28)));
  }

  SINQ_INLINE_AVX2 B lookup_bytes_from(B table, B codes, int first) noexcept {
    const __m256i at = _mm256_sub_epi8(codes, set1_byte(first));
    return _mm256_shuffle_epi8(table, _mm256_adds_epu8(at, set1_byte(0x70)));
  }

  struct Unpacker {
    B even, odd, even_scale, odd_scale, mask;
    int bits;
  };
  SINQ_INLINE_AVX2 B lanes(const void* p) noexcept { return load_table16(static_cast<const std::uint8_t*>(p)); }
  SINQ_INLINE_AVX2 Unpacker load_unpacker(const UnpackPlan& plan) noexcept {
    return {lanes(plan.even),
            lanes(plan.odd),
            lanes(plan.even_scale),
            lanes(plan.odd_scale),
            set1_byte((1 << plan.bits) - 1),
            plan.bits};
  }
  template <int Bits>
  SINQ_INLINE_AVX2 B unpack(const Unpacker& u, const std::uint8_t* p, Index left) noexcept {
    if constexpr (Bits == 8) {
      return load_first_bytes(p, left);
    } else {
      // The loads below read this far, the end of the row may be nearer.
      const Index reach = Bits == 4 ? 16 : 2 * u.bits + 16;
      alignas(32) std::uint8_t bytes[kBytes];
      if (left < reach) {
        std::memset(bytes, 0, sizeof bytes);
        std::memcpy(bytes, p, static_cast<std::size_t>(left));
        p = bytes;
      }
      if constexpr (Bits == 4) {
        const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
        return _mm256_and_si256(_mm256_or_si256(wide, _mm256_slli_epi16(wide, 4)), set1_byte(0x0f));
      } else {
        const __m256i lanes =
            _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(p + 2 * u.bits), reinterpret_cast<const __m128i*>(p));
        const __m256i even = _mm256_srli_epi16(_mm256_mullo_epi16(_mm256_shuffle_epi8(lanes, u.even), u.even_scale), 8);
        const __m256i odd = _mm256_mullo_epi16(_mm256_shuffle_epi8(lanes, u.odd), u.odd_scale);
        const __m256i high = _mm256_set1_epi16(static_cast<short>(0xff00));
        return _mm256_and_si256(_mm256_or_si256(even, _mm256_and_si256(odd, high)), u.mask);
      }
    }
  }

  SINQ_INLINE_AVX2 void transpose_quads(const std::uint8_t* rows, Index stride, std::uint8_t* lines) noexcept {
    B t[8], u[8];
    for (int i = 0; i < 4; ++i) {
      const B a = load_bytes(rows + 2 * i * stride);
      const B b = load_bytes(rows + (2 * i + 1) * stride);
      t[2 * i] = _mm256_unpacklo_epi32(a, b);
      t[2 * i + 1] = _mm256_unpackhi_epi32(a, b);
    }
    for (int i = 0; i < 2; ++i) {
      for (int h = 0; h < 2; ++h) {
        u[4 * i + 2 * h] = _mm256_unpacklo_epi64(t[4 * i + h], t[4 * i + h + 2]);
        u[4 * i + 2 * h + 1] = _mm256_unpackhi_epi64(t[4 * i + h], t[4 * i + h + 2]);
      }
    }
    for (int c = 0; c < 4; ++c) {
      store_bytes(lines + c * 64, _mm256_permute2x128_si256(u[c], u[4 + c], 0x20));
      store_bytes(lines + (c + 4) * 64, _mm256_permute2x128_si256(u[c], u[4 + c], 0x31));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
