#pragma once

#include <sinq/block_formats/block_fields.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// 16 x 16 weights of 2 bits: scales [16] | codes [64] | f16 scale [2] | f16 min [2]. A byte of `scales` is a
/// sub-block: its scale in the low four bits, its minimum in the high four.
struct Q2K {
  static constexpr BlockTraits kTraits{.name = "q2_k",
                                       .sub_blocks = 16,
                                       .sub_size = 16,
                                       .bytes = 84,
                                       .greatest_level = 3,
                                       .least_scale = 0,
                                       .greatest_scale = 15,
                                       .greatest_min = 15};
  static constexpr int kScales = 0, kCodes = 16, kScale = 80, kMin = 82;
  static_assert(kMin + 2 == kTraits.bytes);

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    for (int j = 0; j < 16; ++j) out[kScales + j] = static_cast<std::uint8_t>(fields.scales[j] | (fields.mins[j] << 4));
    BitPlane<2, 32>::pack(fields.codes, 256, 0, out + kCodes);
    put_u16(out + kScale, fields.scale);
    put_u16(out + kMin, fields.min);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    for (int j = 0; j < 16; ++j) {
      fields.scales[j] = static_cast<std::int8_t>(in[kScales + j] & 15);
      fields.mins[j] = static_cast<std::int8_t>(in[kScales + j] >> 4);
    }
    BitPlane<2, 32>::unpack(in + kCodes, 256, 0, fields.codes);
    fields.scale = get_u16(in + kScale);
    fields.min = get_u16(in + kMin);
  }
};

/// 16 x 16 weights of 3 bits: third bits [32] | low bits [64] | scales [12] | f16 scale [2].
/// Scales are 6 bits, 32 above their value: four low bits as in `BitPlane<4, 8>`, then two high bits.
struct Q3K {
  static constexpr BlockTraits kTraits{.name = "q3_k",
                                       .sub_blocks = 16,
                                       .sub_size = 16,
                                       .bytes = 110,
                                       .least_level = -4,
                                       .greatest_level = 3,
                                       .least_scale = -32,
                                       .greatest_scale = 31};
  static constexpr int kHigh = 0, kLow = 32, kScales = 96, kScale = 108;
  static_assert(kScale + 2 == kTraits.bytes);

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    std::uint8_t scales[16];
    for (int j = 0; j < 16; ++j) scales[j] = static_cast<std::uint8_t>(fields.scales[j] + 32);
    BitPlane<1, 32>::pack(fields.codes, 256, 2, out + kHigh);
    BitPlane<2, 32>::pack(fields.codes, 256, 0, out + kLow);
    BitPlane<4, 8>::pack(scales, 16, 0, out + kScales);
    BitPlane<2, 4>::pack(scales, 16, 4, out + kScales + 8);
    put_u16(out + kScale, fields.scale);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    std::uint8_t scales[16]{};
    BitPlane<4, 8>::unpack(in + kScales, 16, 0, scales);
    BitPlane<2, 4>::unpack(in + kScales + 8, 16, 4, scales);
    for (int j = 0; j < 16; ++j) fields.scales[j] = static_cast<std::int8_t>(scales[j] - 32);
    BitPlane<1, 32>::unpack(in + kHigh, 256, 2, fields.codes);
    BitPlane<2, 32>::unpack(in + kLow, 256, 0, fields.codes);
    fields.scale = get_u16(in + kScale);
  }
};

/// Eight scales and eight minima of 6 bits in 12 bytes. Bytes 0..3 are scales 0..3, bytes 4..7 minima 0..3, in their
/// low six bits; the low four bits of scale and minimum 4 + i share byte 8 + i, and their high bits are the high bits
/// of bytes i and 4 + i.
inline void pack_scales_and_mins(const BlockFields& fields, std::uint8_t* out) noexcept {
  for (int i = 0; i < 4; ++i) {
    const int scale = fields.scales[4 + i], min = fields.mins[4 + i];
    out[i] = static_cast<std::uint8_t>(fields.scales[i] | ((scale >> 4) << 6));
    out[4 + i] = static_cast<std::uint8_t>(fields.mins[i] | ((min >> 4) << 6));
    out[8 + i] = static_cast<std::uint8_t>((scale & 15) | ((min & 15) << 4));
  }
}
inline void unpack_scales_and_mins(const std::uint8_t* in, BlockFields& fields) noexcept {
  for (int i = 0; i < 4; ++i) {
    fields.scales[i] = static_cast<std::int8_t>(in[i] & 63);
    fields.mins[i] = static_cast<std::int8_t>(in[4 + i] & 63);
    fields.scales[4 + i] = static_cast<std::int8_t>((in[8 + i] & 15) | ((in[i] >> 6) << 4));
    fields.mins[4 + i] = static_cast<std::int8_t>((in[8 + i] >> 4) | ((in[4 + i] >> 6) << 4));
  }
}

/// 8 x 32 weights of 4 or 5 bits:
/// f16 scale [2] | f16 min [2] | scales and minima [12] | fifth bits [32] or nothing | low bits [128].
template <int kBits>
struct AffineKBlock {
  static_assert(kBits == 4 || kBits == 5);
  static constexpr int kScales = 4, kHigh = 16, kLow = kBits == 5 ? 48 : 16;
  static constexpr BlockTraits kTraits{.name = kBits == 4 ? "q4_k" : "q5_k",
                                       .sub_blocks = 8,
                                       .sub_size = 32,
                                       .bytes = kLow + 128,
                                       .greatest_level = (1 << kBits) - 1,
                                       .least_scale = 0,
                                       .greatest_scale = 63,
                                       .greatest_min = 63};

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    put_u16(out, fields.scale);
    put_u16(out + 2, fields.min);
    pack_scales_and_mins(fields, out + kScales);
    if constexpr (kBits == 5) BitPlane<1, 32>::pack(fields.codes, 256, 4, out + kHigh);
    BitPlane<4, 32>::pack(fields.codes, 256, 0, out + kLow);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    fields.scale = get_u16(in);
    fields.min = get_u16(in + 2);
    unpack_scales_and_mins(in + kScales, fields);
    if constexpr (kBits == 5) BitPlane<1, 32>::unpack(in + kHigh, 256, 4, fields.codes);
    BitPlane<4, 32>::unpack(in + kLow, 256, 0, fields.codes);
  }
};

using Q4K = AffineKBlock<4>;
using Q5K = AffineKBlock<5>;
static_assert(Q4K::kTraits.bytes == 144 && Q5K::kTraits.bytes == 176);

/// 16 x 16 weights of 6 bits: low bits [128] | high bits [64] | int8 scales [16] | f16 scale [2].
struct Q6K {
  static constexpr BlockTraits kTraits{.name = "q6_k",
                                       .sub_blocks = 16,
                                       .sub_size = 16,
                                       .bytes = 210,
                                       .least_level = -32,
                                       .greatest_level = 31,
                                       .least_scale = -128,
                                       .greatest_scale = 127};
  static constexpr int kLow = 0, kHigh = 128, kScales = 192, kScale = 208;
  static_assert(kScale + 2 == kTraits.bytes);

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    BitPlane<4, 64>::pack(fields.codes, 256, 0, out + kLow);
    BitPlane<2, 32>::pack(fields.codes, 256, 4, out + kHigh);
    std::memcpy(out + kScales, fields.scales, 16);
    put_u16(out + kScale, fields.scale);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    BitPlane<4, 64>::unpack(in + kLow, 256, 0, fields.codes);
    BitPlane<2, 32>::unpack(in + kHigh, 256, 4, fields.codes);
    std::memcpy(fields.scales, in + kScales, 16);
    fields.scale = get_u16(in + kScale);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
