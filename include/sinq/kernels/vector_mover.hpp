#pragma once

#include <sinq/kernels/unit_mover.hpp>
#include <sinq/kernels/vector_unit.hpp>

#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// As UnitMover, of vector codes with their signs.
template <int Bits>
struct VectorMover {
  using Unit = VectorUnit<Bits>;
  static constexpr Index kUnitBytes = (kVectorSignLines + Bits) * kLineBytes;
  static constexpr Index kSignBytes = kVectorUnitCols / 8;
  const PanelGeometry& geometry;

  void to_panel(const std::uint8_t* row_codes, const std::uint8_t* row_signs, Index super,
                std::byte* lines) const noexcept {
    for (Index c = 0; c < geometry.col_count(super); c += kVectorUnitCols, lines += kUnitBytes) {
      const Index first = geometry.first_col(super) + c;
      const Index n = std::min(kVectorUnitCols, geometry.col_count(super) - c);
      std::uint8_t signs[kSignBytes] = {}, codes[Unit::kCodes] = {};
      std::memcpy(signs, row_signs + first / 8, static_cast<std::size_t>(ceil_div(n, 8)));
      unpack<Bits>(row_codes + first / 4 * Bits / 8, ceil_div(n, 4), codes);
      std::uint32_t dwords[std::size_t{kVectorSignLines + Bits}], packed[std::size_t{Bits}];
      for (int l = 0; l < kVectorSignLines; ++l) dwords[l] = interleave(signs + 4 * l);
      Unit::pack(codes, packed);
      std::copy(packed, packed + Bits, dwords + kVectorSignLines);
      copy_strided(reinterpret_cast<const std::byte*>(dwords), 4, lines, kLineBytes, kVectorSignLines + Bits, 4);
    }
  }
  void to_row(const std::byte* lines, Index super, std::uint8_t* row_codes, std::uint8_t* row_signs) const noexcept {
    for (Index c = 0; c < geometry.col_count(super); c += kVectorUnitCols, lines += kUnitBytes) {
      const Index first = geometry.first_col(super) + c;
      const Index n = std::min(kVectorUnitCols, geometry.col_count(super) - c);
      std::uint32_t dwords[std::size_t{kVectorSignLines + Bits}], packed[std::size_t{Bits}];
      copy_strided(lines, kLineBytes, reinterpret_cast<std::byte*>(dwords), 4, kVectorSignLines + Bits, 4);
      std::uint8_t signs[kSignBytes], codes[Unit::kCodes];
      for (int l = 0; l < kVectorSignLines; ++l) separate(dwords[l], signs + 4 * l);
      std::copy(dwords + kVectorSignLines, dwords + kVectorSignLines + Bits, packed);
      Unit::unpack(packed, codes);
      std::memcpy(row_signs + first / 8, signs, static_cast<std::size_t>(ceil_div(n, 8)));
      pack<Bits>(codes, ceil_div(n, 4), row_codes + first / 4 * Bits / 8);
    }
  }

 private:
  /// The signs of 32 columns, in their order, as a unit of codes of one bit.
  static constexpr std::uint32_t interleave(const std::uint8_t* signs) noexcept {
    const std::uint32_t columns = quad_at(signs);
    std::uint32_t quads[8], lines[1];
    for (int q = 0; q < 8; ++q) {
      const std::uint32_t four = columns >> (4 * q);
      quads[q] = (four & 1U) | (four & 2U) << 7 | (four & 4U) << 14 | (four & 8U) << 21;
    }
    pack_unit<1>(quads, lines);
    return lines[0];
  }
  static constexpr void separate(std::uint32_t dword, std::uint8_t* signs) noexcept {
    const std::uint32_t lines[1] = {dword};
    std::uint32_t quads[8];
    unpack_unit<1>(lines, quads);
    for (int b = 0; b < 4; ++b) {
      std::uint32_t byte = 0;
      for (int k = 0; k < 8; ++k) byte |= (quads[2 * b + k / 4] >> (8 * (k % 4)) & 1U) << k;
      signs[b] = static_cast<std::uint8_t>(byte);
    }
  }
};

/// Calls f with the bits (4..6) of vector codes as a constant.
template <class F>
decltype(auto) with_vector_bits(int bits, F&& f) {
  if (bits == 4) return f(std::integral_constant<int, 4>{});
  if (bits == 5) return f(std::integral_constant<int, 5>{});
  SINQ_ASSERT(bits == 6);
  return f(std::integral_constant<int, 6>{});
}

}  // namespace sinq::inline SINQ_ABI::detail
