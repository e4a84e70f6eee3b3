#pragma once

#include <sinq/half.hpp>
#include <sinq/packing/bit_packing.hpp>
#include <sinq/types.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sinq::inline SINQ_ABI {

/// The curve from an aux code to its value.
enum class AuxCurve : std::uint8_t {
  kLinear,       ///< minimum + step * code: zero points
  kLogarithmic,  ///< 2^(minimum + step * code): group scales, which are positive and spread over octaves
};

/// Minimum and step of 64 consecutive rows of kU8 or kU6 values, both binary16.
struct AuxBlock {
  std::uint16_t minimum = 0;
  std::uint16_t step = 0;
};
static_assert(sizeof(AuxBlock) == 4);

/// Rows under one `AuxBlock`: with groups of 64 columns, two blocks cost 0.016 bits per weight.
inline constexpr Index kAuxBlockRows = 64;

[[nodiscard]] constexpr int aux_bits(AuxFormat format) noexcept {
  return format == AuxFormat::kF32 ? 32 : format == AuxFormat::kF16 ? 16 : format == AuxFormat::kU8 ? 8 : 6;
}
/// Bytes of the values of `count` rows. Every group starts on a byte, and so does every fourth of its rows.
[[nodiscard]] constexpr Index aux_bytes(AuxFormat format, Index count) noexcept {
  return ceil_div(count * aux_bits(format), 8);
}
/// Whether codes stand under an `AuxBlock` per 64 rows.
[[nodiscard]] constexpr bool has_aux_blocks(AuxFormat format) noexcept {
  return format == AuxFormat::kU8 || format == AuxFormat::kU6;
}
[[nodiscard]] constexpr Index aux_blocks(Index rows) noexcept { return ceil_div(rows, kAuxBlockRows); }

/// Aux values of one group for all rows of the matrix, as stored; `blocks` is null unless the format has them.
struct AuxColumn {
  const std::byte* values = nullptr;
  const std::byte* blocks = nullptr;
};

namespace detail {

template <class T>
[[nodiscard]] T load_as(const std::byte* p) noexcept {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

}  // namespace detail

/// The value of aux code `code` in `block`. step * code is exact in float, so minimum + step * code rounds once.
[[nodiscard]] inline float aux_value(AuxBlock block, AuxCurve curve, std::uint8_t code) noexcept {
  const float linear = half_to_float(block.minimum) + half_to_float(block.step) * static_cast<float>(code);
  return curve == AuxCurve::kLinear ? linear : std::exp2(linear);
}

/// Decodes the aux values of rows [begin, end) of one group.
inline void decode_aux(AuxFormat format, AuxCurve curve, AuxColumn column, RowRange range, float* out) noexcept {
  for (Index r = range.begin; r < range.end; ++r) {
    switch (format) {
      case AuxFormat::kF32:
        *out++ = detail::load_as<float>(column.values + r * 4);
        break;
      case AuxFormat::kF16:
        *out++ = half_to_float(detail::load_as<std::uint16_t>(column.values + r * 2));
        break;
      case AuxFormat::kU8:
      case AuxFormat::kU6: {
        const Index block = r / kAuxBlockRows * Index{sizeof(AuxBlock)};
        const auto* codes = reinterpret_cast<const std::uint8_t*>(column.values);
        *out++ = aux_value(detail::load_as<AuxBlock>(column.blocks + block), curve,
                           static_cast<std::uint8_t>(code_at(codes, r, aux_bits(format))));
        break;
      }
    }
  }
}

}  // namespace sinq::inline SINQ_ABI
