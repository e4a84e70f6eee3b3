#pragma once

#include <sinq/block_formats/block_fields.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// The sixteen levels of the "nl" formats: finer near zero, as weights are.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
inline constexpr float kIq4Midpoints[16] = {
    -115.5F, -93.5F, -74,   -57,   -42, -28.5F, -16, -4.5F,
    7,       19,     31.5F, 45.5F, 61,  79,     101, std::numeric_limits<float>::infinity()};

/// 32 weights of 4 bits: f16 scale [2] | codes [16].
struct Iq4Nl {
  static constexpr BlockTraits kTraits{
      .name = "iq4_nl", .bytes = 18, .greatest_level = 15, .levels = kIq4Levels, .midpoints = kIq4Midpoints};

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    put_u16(out, fields.scale);
    BitPlane<4, 16>::pack(fields.codes, 32, 0, out + 2);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    fields.scale = get_u16(in);
    fields.scales[0] = 1;
    BitPlane<4, 16>::unpack(in + 2, 32, 0, fields.codes);
  }
};

/// 8 x 32 weights of 4 bits: f16 scale [2] | high bits of scales [2] | low bits of scales [4] | codes [128].
/// Scales are 6 bits, 32 above their value.
struct Iq4Xs {
  static constexpr BlockTraits kTraits{.name = "iq4_xs",
                                       .sub_blocks = 8,
                                       .bytes = 136,
                                       .greatest_level = 15,
                                       .levels = kIq4Levels,
                                       .midpoints = kIq4Midpoints,
                                       .least_scale = -32,
                                       .greatest_scale = 31};
  static constexpr int kScalesHigh = 2, kScalesLow = 4, kCodes = 8;
  static_assert(kCodes + 128 == kTraits.bytes);

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    std::uint8_t scales[8];
    for (int j = 0; j < 8; ++j) scales[j] = static_cast<std::uint8_t>(fields.scales[j] + 32);
    put_u16(out, fields.scale);
    BitPlane<2, 1>::pack(scales, 8, 4, out + kScalesHigh);
    BitPlane<4, 1>::pack(scales, 8, 0, out + kScalesLow);
    BitPlane<4, 16>::pack(fields.codes, 256, 0, out + kCodes);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    std::uint8_t scales[8]{};
    fields.scale = get_u16(in);
    BitPlane<2, 1>::unpack(in + kScalesHigh, 8, 4, scales);
    BitPlane<4, 1>::unpack(in + kScalesLow, 8, 0, scales);
    for (int j = 0; j < 8; ++j) fields.scales[j] = static_cast<std::int8_t>(scales[j] - 32);
    BitPlane<4, 16>::unpack(in + kCodes, 256, 0, fields.codes);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
