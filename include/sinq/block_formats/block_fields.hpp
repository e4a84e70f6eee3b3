#pragma once

#include <sinq/half.hpp>
#include <sinq/types.hpp>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sinq::inline SINQ_ABI::detail {

/// The numbers of a block format. One rule decodes all of them: a block is `sub_blocks` runs of `sub_size` weights, and
///   w = (scale * scales[j]) * level(code) - min * mins[j]      in sub-block j.
/// A format without such codes has them fixed: scales[j] = 1, mins[j] = 1 (one f16 minimum) or 0 (none).
struct BlockTraits {
  std::string_view name;
  Index sub_blocks = 1;
  Index sub_size = 32;
  Index bytes = 0;
  int least_level = 0, greatest_level = 0;  ///< level of code i: least_level + i ...
  int unused_levels = 0;                    ///< of the least, which a reader knows and the encoder avoids
  const float* levels = nullptr;            ///< ... or an entry of this table of 16, ascending
  const float* midpoints = nullptr;         ///< between those, [15]; +inf behind them
  int least_scale = 1, greatest_scale = 1;  ///< what scales[j] may be
  int least_min = 0, greatest_min = 0;      ///< what mins[j] may be

  [[nodiscard]] constexpr Index size() const noexcept { return sub_blocks * sub_size; }
  [[nodiscard]] constexpr bool has_min() const noexcept { return greatest_min > 0; }
  [[nodiscard]] constexpr bool has_scale_codes() const noexcept { return greatest_scale > least_scale; }
  [[nodiscard]] constexpr bool has_min_codes() const noexcept { return greatest_min > least_min; }
};

/// A block taken apart: what a format packs into its bytes, and nothing of how.
struct BlockFields {
  static constexpr Index kMaxSize = 256;
  static constexpr Index kMaxSubBlocks = 16;

  std::uint16_t scale = 0;  ///< binary16
  std::uint16_t min = 0;    ///< binary16
  std::int8_t scales[kMaxSubBlocks]{};
  std::int8_t mins[kMaxSubBlocks]{};
  std::uint8_t codes[kMaxSize]{};
};

/// Bits of codes in bytes as all block formats lay them: byte k of a chunk holds kBits bits each of the elements k,
/// k + kStride, k + 2 * kStride ..., the first in its lowest bits; a chunk is kStride bytes.
template <int kBits, Index kStride>
struct BitPlane {
  static constexpr Index kPerByte = 8 / kBits;
  static constexpr Index kChunk = kStride * kPerByte;  // elements
  static constexpr unsigned kMask = (1U << kBits) - 1U;

  /// Bits [first_bit, first_bit + kBits) of `count` codes, a multiple of kChunk.
  static constexpr void pack(const std::uint8_t* codes, Index count, int first_bit, std::uint8_t* out) noexcept {
    for (; count > 0; count -= kChunk, codes += kChunk, out += kStride) {
      for (Index k = 0; k < kStride; ++k) {
        unsigned byte = 0;
        for (Index i = 0; i < kPerByte; ++i) {
          byte |= ((static_cast<unsigned>(codes[i * kStride + k]) >> first_bit) & kMask) << (kBits * i);
        }
        out[k] = static_cast<std::uint8_t>(byte);
      }
    }
  }
  /// Adds those bits to codes whose bits there are zero.
  static constexpr void unpack(const std::uint8_t* in, Index count, int first_bit, std::uint8_t* codes) noexcept {
    for (; count > 0; count -= kChunk, codes += kChunk, in += kStride) {
      for (Index i = 0; i < kPerByte; ++i) {
        for (Index k = 0; k < kStride; ++k) {
          const unsigned bits = (static_cast<unsigned>(in[k]) >> (kBits * i)) & kMask;
          codes[i * kStride + k] = static_cast<std::uint8_t>(codes[i * kStride + k] | (bits << first_bit));
        }
      }
    }
  }
};

inline void put_u16(std::uint8_t* out, std::uint16_t value) noexcept {
  out[0] = static_cast<std::uint8_t>(value & 0xffU);
  out[1] = static_cast<std::uint8_t>(value >> 8);
}
[[nodiscard]] inline std::uint16_t get_u16(const std::uint8_t* in) noexcept {
  return static_cast<std::uint16_t>(in[0] | (in[1] << 8));
}

/// The weights [traits.size()] of a block.
inline void decode_fields(const BlockTraits& traits, const BlockFields& fields, float* out) noexcept {
  const float scale = half_to_float(fields.scale), min = half_to_float(fields.min);
  const std::uint8_t* code = fields.codes;
  for (Index j = 0; j < traits.sub_blocks; ++j) {
    const float step = scale * static_cast<float>(fields.scales[j]);
    const float offset = min * static_cast<float>(fields.mins[j]);
    for (Index i = 0; i < traits.sub_size; ++i, ++code) {
      const float level =
          traits.levels != nullptr ? traits.levels[*code] : static_cast<float>(traits.least_level + *code);
      *out++ = step * level - offset;
    }
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
