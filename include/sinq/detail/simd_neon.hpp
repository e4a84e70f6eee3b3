#pragma once

#include <sinq/isa.hpp>

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Simd;

/// Four lanes; see Simd<isa::Portable> for what each member does.
template <>
struct Simd<isa::Neon> {
  static constexpr int kWidth = 4;
  using F = float32x4_t;
  using I = int32x4_t;
  using M = uint32x4_t;

  static F zero() noexcept { return vdupq_n_f32(0.0F); }
  static F set1(float x) noexcept { return vdupq_n_f32(x); }
  static F load(const float* p) noexcept { return vld1q_f32(p); }
  static F load_first(const float* p, int n) noexcept {
    float lanes[kWidth] = {};
    std::memcpy(lanes, p, static_cast<std::size_t>(n) * sizeof(float));
    return load(lanes);
  }
  static void store(float* p, F a) noexcept { vst1q_f32(p, a); }
  static void store_first(float* p, F a, int n) noexcept {
    float lanes[kWidth];
    store(lanes, a);
    std::memcpy(p, lanes, static_cast<std::size_t>(n) * sizeof(float));
  }

  static F add(F a, F b) noexcept { return vaddq_f32(a, b); }
  static F sub(F a, F b) noexcept { return vsubq_f32(a, b); }
  static F mul(F a, F b) noexcept { return vmulq_f32(a, b); }
  static F div(F a, F b) noexcept { return vdivq_f32(a, b); }
  static F min(F a, F b) noexcept { return vminq_f32(a, b); }
  static F max(F a, F b) noexcept { return vmaxq_f32(a, b); }
  static F fma(F a, F b, F c) noexcept { return vfmaq_f32(c, a, b); }
  static F sqrt(F a) noexcept { return vsqrtq_f32(a); }
  static F abs(F a) noexcept { return vabsq_f32(a); }
  static F round(F a) noexcept { return vrndnq_f32(a); }
  static F copysign(F magnitude, F sign) noexcept { return vbslq_f32(vdupq_n_u32(0x80000000U), sign, magnitude); }

  static M less(F a, F b) noexcept { return vcltq_f32(a, b); }
  static bool any(M m) noexcept { return vmaxvq_u32(m) != 0; }
  static F select(M m, F a, F b) noexcept { return vbslq_f32(m, a, b); }

  static float reduce_add(F a) noexcept { return vaddvq_f32(a); }
  static float reduce_min(F a) noexcept { return vminvq_f32(a); }
  static float reduce_max(F a) noexcept { return vmaxvq_f32(a); }
  static F rows_add(const F (&v)[kWidth]) noexcept {
    return vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
  }
  static F rows_min(const F (&v)[kWidth]) noexcept {
    return vpminq_f32(vpminq_f32(v[0], v[1]), vpminq_f32(v[2], v[3]));
  }
  static F rows_max(const F (&v)[kWidth]) noexcept {
    return vpmaxq_f32(vpmaxq_f32(v[0], v[1]), vpmaxq_f32(v[2], v[3]));
  }

  static void store_codes(std::uint8_t* p, F a, F top) noexcept {
    store_indices(p, vcvtnq_s32_f32(min(max(a, zero()), top)));
  }
  static F load_codes(const std::uint8_t* p) noexcept { return vcvtq_f32_s32(load_indices(p)); }
  static I load_indices(const std::uint8_t* p) noexcept {
    std::uint32_t word = 0;
    std::memcpy(&word, p, sizeof word);
    const uint16x8_t wide = vmovl_u8(vcreate_u8(word));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
  }
  static void store_indices(std::uint8_t* p, I a) noexcept {
    const uint16x4_t words = vmovn_u32(vreinterpretq_u32_s32(a));
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    const std::uint32_t word = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
    std::memcpy(p, &word, sizeof word);
  }
  static I set1_index(std::int32_t x) noexcept { return vdupq_n_s32(x); }
  static I add_index(I a, I b) noexcept { return vaddq_s32(a, b); }
  static I max_bits(I most, F a) noexcept {
    return vmaxq_s32(most, vandq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(0x7fffffff)));
  }
  static std::int32_t reduce_max_index(I a) noexcept { return vmaxvq_s32(a); }
  static I keep_index(M m, I a) noexcept { return vandq_s32(vreinterpretq_s32_u32(m), a); }
  static F lookup(const float* table, I index) noexcept {
    std::int32_t i[kWidth];
    vst1q_s32(i, index);
    const float lanes[kWidth] = {table[i[0]], table[i[1]], table[i[2]], table[i[3]]};
    return load(lanes);
  }
  static F lookup16(const float* table, I index) noexcept { return lookup(table, index); }

  static constexpr int kWords = 8;
  using W = int16x8_t;
  static W load_words(const std::int16_t* p) noexcept { return vld1q_s16(p); }
  static void store_words(std::int16_t* p, W a) noexcept { vst1q_s16(p, a); }
  static W set1_word(std::int16_t x) noexcept { return vdupq_n_s16(x); }
  static W min_words(W a, W b) noexcept { return vminq_s16(a, b); }
  static W add_words(W a, W b) noexcept { return vqaddq_s16(a, b); }
  static W sub_words(W a, W b) noexcept { return vsubq_s16(a, b); }
  static W abs_words(W a) noexcept { return vabsq_s16(a); }
  static W mul_high_words(W a, W b) noexcept {
    const uint16x8_t x = vreinterpretq_u16_s16(a), y = vreinterpretq_u16_s16(b);
    const uint16x8_t low = vreinterpretq_u16_u32(vmull_u16(vget_low_u16(x), vget_low_u16(y)));
    return vreinterpretq_s16_u16(vuzp2q_u16(low, vreinterpretq_u16_u32(vmull_high_u16(x, y))));
  }
  static W shift_words(W a, int bits) noexcept { return vshlq_s16(a, vdupq_n_s16(static_cast<std::int16_t>(bits))); }
  static W bit_or_words(W a, W b) noexcept { return vorrq_s16(a, b); }
  static W select_less_words(W a, W b, W x, W y) noexcept { return vbslq_s16(vcltq_s16(a, b), x, y); }
  static void store_rounded_words(std::int16_t* p, F a) noexcept { vst1_s16(p, vmovn_s32(vcvtnq_s32_f32(a))); }

  static F load_f16(const std::uint16_t* p) noexcept { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
  static void store_f16(std::uint16_t* p, F a) noexcept { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
  static F load_bf16(const std::uint16_t* p) noexcept { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
  static F load_f64(const double* p) noexcept {
    return vcvt_high_f32_f64(vcvt_f32_f64(vld1q_f64(p)), vld1q_f64(p + 2));
  }
  static void prefetch(const void* p) noexcept { __builtin_prefetch(p, 0, 3); }
  static void prefetch_far(const void* p) noexcept { __builtin_prefetch(p, 0, 2); }
  static void prefetch_to_write(const void* p) noexcept { __builtin_prefetch(p, 1, 3); }

  static void add_to_doubles(double* total, F a) noexcept {
    vst1q_f64(total, vaddq_f64(vld1q_f64(total), vcvt_f64_f32(vget_low_f32(a))));
    vst1q_f64(total + 2, vaddq_f64(vld1q_f64(total + 2), vcvt_high_f64_f32(a)));
  }

  static F exponent(F a) noexcept {
    const int32x4_t biased = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a), 23));
    return vcvtq_f32_s32(vsubq_s32(biased, vdupq_n_s32(127)));
  }
  static F mantissa(F a) noexcept {
    const uint32x4_t fraction = vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x7fffff));
    return vreinterpretq_f32_u32(vorrq_u32(fraction, vdupq_n_u32(0x3f800000)));
  }
  static F power_of_two(F n) noexcept {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
  }

  using B = uint8x16_t;
  static constexpr int kBytes = 4 * kWidth;
  static constexpr bool kTernaryLogic = false;
  static B load_bytes(const void* p) noexcept { return vld1q_u8(static_cast<const std::uint8_t*>(p)); }
  static void store_bytes(void* p, B a) noexcept { vst1q_u8(static_cast<std::uint8_t*>(p), a); }
  static B set1_byte(int x) noexcept { return vdupq_n_u8(static_cast<std::uint8_t>(x)); }
  static B add_bytes(B a, B b) noexcept { return vaddq_u8(a, b); }
  static B add_clamped_bytes(B a, B b) noexcept { return vqaddq_u8(a, b); }
  static B sub_clamped_bytes(B a, B b) noexcept { return vqsubq_u8(a, b); }
  static B min_bytes(B a, B b) noexcept { return vminq_u8(a, b); }
  static B select_less_bytes(B a, B b, B x, B y) noexcept { return vbslq_u8(vcltq_u8(a, b), x, y); }
  static B narrow_words(W a, W b) noexcept { return vcombine_u8(vqmovun_s16(a), vqmovun_s16(b)); }
  static B bit_and(B a, B b) noexcept { return vandq_u8(a, b); }
  static B bit_or(B a, B b) noexcept { return vorrq_u8(a, b); }
  static B bit_xor(B a, B b) noexcept { return veorq_u8(a, b); }
  static B keep(B a) noexcept {
#if defined(__GNUC__) && !defined(__clang__)
    __asm__("" : "+w"(a));
#endif
    return a;
  }
  static B select_bits(B mask, B a, B b) noexcept { return vbslq_u8(mask, a, b); }
  static B xor_and(B a, B b, B mask) noexcept { return bit_and(bit_xor(a, b), mask); }
  static B xor_masked(B a, B b, B mask) noexcept { return bit_xor(a, bit_and(b, mask)); }
  template <int N>
  static B shift_right(B a) noexcept {
    if constexpr (N == 0) return a;
    return vreinterpretq_u8_u32(vshrq_n_u32(vreinterpretq_u32_u8(a), N == 0 ? 1 : N));
  }
  template <int N>
  static B shift_left(B a) noexcept {
    return vreinterpretq_u8_u32(vshlq_n_u32(vreinterpretq_u32_u8(a), N));
  }
  static B load_table16(const std::uint8_t* p) noexcept { return vld1q_u8(p); }
  static B lookup_bytes16(B table, B codes) noexcept { return vqtbl1q_u8(table, codes); }
};

}  // namespace sinq::inline SINQ_ABI::detail
