#pragma once

#include <sinq/detail/simd_math.hpp>
#include <sinq/packing/aux_codec.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Scales below this are stored as this: the logarithm of zero has no code.
inline constexpr float kLeastLogScale = 0x1p-100F;

/// The binary16 minimum and step that reach from `low` to `high` in `steps` steps.
[[nodiscard]] inline AuxBlock aux_block(float low, float high, float steps) noexcept {
  AuxBlock block{.minimum = float_to_half(low), .step = 0};
  // One step of the bit pattern downwards, if the minimum was rounded up.
  if (half_to_float(block.minimum) > low) {
    block.minimum = static_cast<std::uint16_t>(low < 0.0F ? block.minimum + 1 : block.minimum - 1);
  }
  const float minimum = half_to_float(block.minimum);
  block.step = float_to_half((high - minimum) / steps);
  if (minimum + steps * half_to_float(block.step) < high) ++block.step;
  return block;
}

template <class Tag>
struct AuxEncode;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/packing/aux_encoder_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Where the aux values of one group go, for all rows of the matrix.
struct AuxTarget {
  std::byte* values = nullptr;
  std::byte* blocks = nullptr;  ///< kU8 and kU6 only
};

/// Stores the values of rows [begin, end) and writes what a reader will decode to `stored`. `begin` is a multiple of
/// kAuxBlockRows; at most kAuxBlockRows rows where the format has blocks. `values` and `stored` have room for whole
/// vectors.
inline void encode_aux(AuxFormat format, AuxCurve curve, AuxTarget target, RowRange range, const float* values,
                       float* stored, Isa limit) noexcept {
  const auto count = static_cast<std::size_t>(range.size());
  switch (format) {
    case AuxFormat::kF32:
      std::memcpy(target.values + range.begin * 4, values, count * sizeof(float));
      if (stored != values) std::memcpy(stored, values, count * sizeof(float));
      return;
    case AuxFormat::kF16: {
      auto* out = reinterpret_cast<std::uint16_t*>(target.values) + range.begin;
      dispatch(limit, [&](auto tag) { AuxEncode<decltype(tag)>::f16(values, range.size(), out, stored); });
      return;
    }
    case AuxFormat::kU8:
    case AuxFormat::kU6: {
      std::uint8_t codes[kAuxBlockRows];
      const float top = format == AuxFormat::kU8 ? 255.0F : 63.0F;
      const AuxBlock block = dispatch(limit, [&](auto tag) {
        return AuxEncode<decltype(tag)>::encode_block(values, range.size(), curve, top, codes, stored);
      });
      auto* out = reinterpret_cast<std::uint8_t*>(target.values) + aux_bytes(format, range.begin);
      if (format == AuxFormat::kU8) {
        std::memcpy(out, codes, count);
      } else {
        pack<6>(codes, range.size(), out);
      }
      std::memcpy(target.blocks + range.begin / kAuxBlockRows * Index{sizeof(AuxBlock)}, &block, sizeof block);
      return;
    }
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
