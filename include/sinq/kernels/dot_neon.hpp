#pragma once

#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/row_unpack.hpp>
#include <sinq/types.hpp>

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#define SINQ_TARGET_NEON_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#define SINQ_INLINE_NEON_DOT __attribute__((always_inline)) SINQ_TARGET_NEON_DOT static inline

namespace sinq::inline SINQ_ABI::detail {

/// Sixteen bytes; see Dot<isa::Portable> for what each member does.
template <>
struct Dot<isa::Neon> : Simd<isa::Neon> {
  using SimdTag = isa::Neon;
  /// Codes enter as signed bytes.
  static constexpr int kMaxCode = 127;
  static constexpr int kBatchTile = 4;
  static constexpr int kTilePanels = 1;

  static B load_first_bytes(const void* p, Index n) noexcept {
    if (n >= kBytes) return load_bytes(p);
    std::uint8_t bytes[kBytes] = {};
    std::memcpy(bytes, p, static_cast<std::size_t>(n));
    return load_bytes(bytes);
  }
  static B broadcast4(const void* p) noexcept {
    std::uint32_t x;
    std::memcpy(&x, p, sizeof x);
    return vreinterpretq_u8_u32(vdupq_n_u32(x));
  }
  static B merge(B t, B a, B mask) noexcept { return bit_or(t, bit_and(a, mask)); }

  template <int MaxCode>
  static I dot(I sum, B codes, B x) noexcept {
    if constexpr (MaxCode <= kMaxCode) {
      const int8x16_t a = vreinterpretq_s8_u8(codes);
      const int8x16_t b = vreinterpretq_s8_u8(x);
      const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
      const int16x8_t high = vmull_high_s8(a, b);
      return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
    } else {
      const I top = dot<kMaxCode>(set1_index(0), vshrq_n_u8(codes, 7), x);
      return dot<kMaxCode>(vaddq_s32(sum, scale_up<7>(top)), bit_and(codes, set1_byte(0x7f)), x);
    }
  }
  static constexpr int kSignedZero = 0;
  static constexpr bool kDotsWhileDecoding = false;
  static I dot_signed(I sum, B levels, B x) noexcept { return dot<kMaxCode>(sum, levels, x); }
  template <int N>
  static I scale_up(I a) noexcept {
    return vshlq_n_s32(a, N);
  }
  template <int N>
  static I scale_down(I a) noexcept {
    if constexpr (N == 0) return a;
    return vshrq_n_s32(a, N == 0 ? 1 : N);
  }
  static F to_float(I a) noexcept { return vcvtq_f32_s32(a); }
  template <int J>
  static I byte_of_lane(B a) noexcept {
    return vreinterpretq_s32_u32(vandq_u32(vreinterpretq_u32_u8(shift_right<8 * J>(a)), vdupq_n_u32(0xffU)));
  }
  template <int J>
  static I signed_byte_of_lane(B a) noexcept {
    const int32x4_t top = vreinterpretq_s32_u8(J == 3 ? a : shift_left<24 - 8 * J>(a));
    return vshrq_n_s32(top, 24);
  }
  static I load_sums(const std::int32_t* p) noexcept { return vld1q_s32(p); }
  static void store_sums(std::int32_t* p, I a) noexcept { vst1q_s32(p, a); }

  static constexpr bool kFloatTableIsFast = false;
  static uint8x16x4_t load_float_table(const float* p) noexcept {
    uint8x16x4_t table;
    std::memcpy(&table, p, sizeof table);
    return table;
  }
  static F lookup_float(const uint8x16x4_t& table, B lanes) noexcept {
    const uint32x4_t code = vandq_u32(vreinterpretq_u32_u8(lanes), vdupq_n_u32(15U));
    const uint32x4_t bytes = vaddq_u32(vmulq_n_u32(code, 0x04040404U), vdupq_n_u32(0x03020100U));
    return vreinterpretq_f32_u8(vqtbl4q_u8(table, vreinterpretq_u8_u32(bytes)));
  }

  static B lookup_bytes_from(B table, B codes, int first) noexcept {
    return vqtbl1q_u8(table, vsubq_u8(codes, set1_byte(first)));
  }

  struct Unpacker {
    B even, odd;
    uint16x8_t even_scale, odd_scale;
    B mask;
  };
  static Unpacker load_unpacker(const UnpackPlan& plan) noexcept {
    return {load_bytes(plan.even), load_bytes(plan.odd), vld1q_u16(plan.even_scale), vld1q_u16(plan.odd_scale),
            set1_byte((1 << plan.bits) - 1)};
  }
  template <int Bits>
  static B unpack(const Unpacker& u, const std::uint8_t* p, Index left) noexcept {
    const B packed = load_first_bytes(p, left);
    if constexpr (Bits == 8) {
      return packed;
    } else if constexpr (Bits == 4) {
      return vzip1q_u8(bit_and(packed, set1_byte(0x0f)), vshrq_n_u8(packed, 4));
    } else {
      const uint16x8_t even = vmulq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(packed, u.even)), u.even_scale);
      const uint16x8_t odd = vmulq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(packed, u.odd)), u.odd_scale);
      const uint16x8_t both = vbslq_u16(vdupq_n_u16(0x00ffU), vshrq_n_u16(even, 8), odd);
      return bit_and(vreinterpretq_u8_u16(both), u.mask);
    }
  }

  static void transpose_quads(const std::uint8_t* rows, Index stride, std::uint8_t* lines) noexcept {
    const auto row = [&](Index r) { return vreinterpretq_u32_u8(load_bytes(rows + r * stride)); };
    const uint32x4x2_t a = vtrnq_u32(row(0), row(1));
    const uint32x4x2_t b = vtrnq_u32(row(2), row(3));
    for (int c = 0; c < 2; ++c) {
      const auto low = vcombine_u32(vget_low_u32(a.val[c]), vget_low_u32(b.val[c]));
      const auto high = vcombine_u32(vget_high_u32(a.val[c]), vget_high_u32(b.val[c]));
      store_bytes(lines + c * 64, vreinterpretq_u8_u32(low));
      store_bytes(lines + (c + 2) * 64, vreinterpretq_u8_u32(high));
    }
  }
};

#if SINQ_NEON_DOT
template <>
struct Dot<isa::NeonDot> : Dot<isa::Neon> {
  template <int MaxCode>
  SINQ_INLINE_NEON_DOT I dot(I sum, B codes, B x) noexcept {
    const int8x16_t b = vreinterpretq_s8_u8(x);
    if constexpr (MaxCode <= kMaxCode) {
      return vdotq_s32(sum, vreinterpretq_s8_u8(codes), b);
    } else {
      const I top = vdotq_s32(set1_index(0), vreinterpretq_s8_u8(vshrq_n_u8(codes, 7)), b);
      const int8x16_t rest = vreinterpretq_s8_u8(bit_and(codes, set1_byte(0x7f)));
      return vdotq_s32(vaddq_s32(sum, scale_up<7>(top)), rest, b);
    }
  }
  SINQ_INLINE_NEON_DOT I dot_signed(I sum, B levels, B x) noexcept { return dot<kMaxCode>(sum, levels, x); }
};
#endif

}  // namespace sinq::inline SINQ_ABI::detail
