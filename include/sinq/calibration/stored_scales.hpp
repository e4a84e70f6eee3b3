#pragma once

#include <sinq/packing/aux_encoder.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// The group scales of a quantized matrix as something that can be chosen anew, for rows of one aux block (rows [64 k,
/// 64 k + 64) of the matrix) at a time: what shares a minimum and a step stands together.
class StoredScales {
 public:
  explicit StoredScales(QuantizedMatrix& q)
      : layout_(q.layout()), values_(q.region(Region::kGroupScale)), blocks_(q.region(Region::kGroupScaleBlocks)) {}

  /// Whether an aux block's rows have the same column scales, so that they are encoded together.
  [[nodiscard]] bool can_follow() const noexcept {
    return !has_aux_blocks(layout_.aux) || layout_.row_block >= layout_.rows || layout_.row_block % kAuxBlockRows == 0;
  }

  /// Stores new scales of `rows` [rows.size()], under a minimum and a step of their own; they become what a reader
  /// sees. Room for kAuxBlockRows.
  void store(Index group, RowRange rows, float* scales, Isa limit) const {
    encode_aux(layout_.aux, AuxCurve::kLogarithmic, {values(group), blocks(group)}, rows, scales, scales, limit);
  }

  /// The stored value next to `scale` that `row` can have under its block's minimum and step; `otherwise` if `scale` is
  /// none.
  [[nodiscard]] float nearest(Index group, Index row, double scale, float otherwise) const noexcept {
    if (!is_positive(scale) || scale > static_cast<double>(std::numeric_limits<float>::max())) return otherwise;
    const auto x = static_cast<float>(scale);
    if (layout_.aux == AuxFormat::kF32) return x;
    if (layout_.aux == AuxFormat::kF16) {
      const float stored = half_to_float(float_to_half(x));
      return is_positive(stored) ? stored : otherwise;
    }
    const AuxBlock block = aux_block_of(group, row);
    return aux_value(block, AuxCurve::kLogarithmic, code_of(block, x));
  }

  /// Writes values that came from `nearest`, to where they are under their block's minimum and step. Room for
  /// kAuxBlockRows.
  void put(Index group, RowRange rows, float* scales, Isa limit) const noexcept {
    if (!has_aux_blocks(layout_.aux)) return store(group, rows, scales, limit);
    std::uint8_t codes[kAuxBlockRows] = {};
    const AuxBlock block = aux_block_of(group, rows.begin);
    for (Index r = 0; r < rows.size(); ++r) codes[r] = code_of(block, scales[r]);
    auto* out = reinterpret_cast<std::uint8_t*>(values(group)) + aux_bytes(layout_.aux, rows.begin);
    with_bits(aux_bits(layout_.aux), [&](auto bits) { pack<decltype(bits)::value>(codes, rows.size(), out); });
  }

 private:
  [[nodiscard]] std::byte* values(Index group) const noexcept {
    return values_.data() + group * aux_bytes(layout_.aux, layout_.rows);
  }
  [[nodiscard]] std::byte* blocks(Index group) const noexcept {
    return blocks_.data() + group * aux_blocks(layout_.rows) * Index{sizeof(AuxBlock)};
  }
  [[nodiscard]] AuxBlock aux_block_of(Index group, Index row) const noexcept {
    return load_as<AuxBlock>(blocks(group) + row / kAuxBlockRows * Index{sizeof(AuxBlock)});
  }
  [[nodiscard]] std::uint8_t code_of(AuxBlock block, float scale) const noexcept {
    const float step = half_to_float(block.step);
    if (!(step > 0.0F)) return 0;
    const float code = (std::log2(std::max(scale, kLeastLogScale)) - half_to_float(block.minimum)) / step;
    return static_cast<std::uint8_t>(std::clamp(code, 0.0F, static_cast<float>((1 << aux_bits(layout_.aux)) - 1)) +
                                     0.5F);
  }

  Layout layout_;
  std::span<std::byte> values_, blocks_;
};

}  // namespace sinq::inline SINQ_ABI::detail
