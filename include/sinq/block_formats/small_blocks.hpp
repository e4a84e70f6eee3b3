#pragma once

#include <sinq/block_formats/block_fields.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// 32 weights of 8 bits: f16 scale [2] | int8 [32].
struct Q8_0 {
  /// Not -128: kernels that move a weight's sign to the activation overflow there.
  static constexpr BlockTraits kTraits{
      .name = "q8_0", .bytes = 34, .least_level = -128, .greatest_level = 127, .unused_levels = 1};

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    put_u16(out, fields.scale);
    for (int i = 0; i < 32; ++i) out[2 + i] = static_cast<std::uint8_t>(fields.codes[i] ^ 0x80U);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    fields.scale = get_u16(in);
    fields.scales[0] = 1;
    for (int i = 0; i < 32; ++i) fields.codes[i] = static_cast<std::uint8_t>(in[2 + i] ^ 0x80U);
  }
};

/// 32 weights of 4 or 5 bits: f16 scale [2] | f16 offset [2] or nothing | fifth bits [4] or nothing | low bits [16].
/// Without an offset, levels are signed. The file's offset is added, where `BlockFields::min` is taken away.
template <int kBits, int kOffsets>
struct SmallBlock {
  static_assert(kBits == 4 || kBits == 5);
  static constexpr int kHigh = kOffsets == 1 ? 4 : 2;
  static constexpr int kLow = kBits == 5 ? kHigh + 4 : kHigh;
  static constexpr int kLevels = 1 << kBits;
  static constexpr BlockTraits kTraits{.name = kBits == 4 ? (kOffsets == 1 ? "q4_1" : "q4_0")  //
                                                          : (kOffsets == 1 ? "q5_1" : "q5_0"),
                                       .bytes = kLow + 16,
                                       .least_level = kOffsets == 1 ? 0 : -kLevels / 2,
                                       .greatest_level = kOffsets == 1 ? kLevels - 1 : kLevels / 2 - 1,
                                       .least_min = kOffsets,
                                       .greatest_min = kOffsets};

  static void pack(const BlockFields& fields, std::uint8_t* out) noexcept {
    put_u16(out, fields.scale);
    if constexpr (kOffsets == 1) put_u16(out + 2, static_cast<std::uint16_t>(fields.min ^ 0x8000U));
    if constexpr (kBits == 5) BitPlane<1, 1>::pack(fields.codes, 32, 4, out + kHigh);
    BitPlane<4, 16>::pack(fields.codes, 32, 0, out + kLow);
  }
  static void unpack(const std::uint8_t* in, BlockFields& fields) noexcept {
    fields.scale = get_u16(in);
    fields.scales[0] = 1;
    fields.mins[0] = kOffsets;
    if constexpr (kOffsets == 1) fields.min = static_cast<std::uint16_t>(get_u16(in + 2) ^ 0x8000U);
    if constexpr (kBits == 5) BitPlane<1, 1>::unpack(in + kHigh, 32, 4, fields.codes);
    BitPlane<4, 16>::unpack(in + kLow, 32, 0, fields.codes);
  }
};

using Q4_0 = SmallBlock<4, 0>;
using Q4_1 = SmallBlock<4, 1>;
using Q5_0 = SmallBlock<5, 0>;
using Q5_1 = SmallBlock<5, 1>;
static_assert(Q4_0::kTraits.bytes == 18 && Q4_1::kTraits.bytes == 20);
static_assert(Q5_0::kTraits.bytes == 22 && Q5_1::kTraits.bytes == 24);

}  // namespace sinq::inline SINQ_ABI::detail
