// Compiled once per instruction set by vector_codes.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Blocks of 16 rows of interleaved vector codes as one byte per weight, level + kLevelZero: what batches are
/// multiplied with.
template <>
struct VectorTile<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using B = S::B;
  using Units = UnitDecoder<SINQ_ISA>;
  using Vectors = VectorDecoder<SINQ_ISA>;

  /// As TileDecoder::codes.
  SINQ_TARGET static std::uint8_t* codes(const RepackedView& view, Index panel, const InputBlocks& blocks, Index block,
                                         std::uint8_t* tile) noexcept {
    const Index super = blocks.group(block) / view.geometry().super_groups;
    const Index first = blocks.first_col(block) - view.geometry().first_col(super);
    const Index end = first + blocks.col_count(block);
    const std::uint8_t* const lines = view.super_block(panel, super);
    with_vector_bits(view.layout().bits,
                     [&](auto bits) { octets<bits>(lines, first / 8, ceil_div(end, 8), view.vector_levels(), tile); });
    return tile;
  }

 private:
  /// Octets (8 columns) first..end of vector codes, counted from the super-block's start.
  template <int Bits>
  SINQ_TARGET static void octets(const std::uint8_t* lines, Index first, Index end, const std::uint8_t* magnitudes,
                                 std::uint8_t* tile) noexcept {
    constexpr Index kUnitBytes = (Bits + kVectorSignLines) * kLineBytes;
    constexpr Index kOctets = kVectorUnitCols / 8;
    // Negated modulo 256, 128 + magnitude is 128 - magnitude.
    alignas(64) std::uint8_t biased[4 << Bits];
    for (int i = 0; i < 4 << Bits; ++i) biased[i] = static_cast<std::uint8_t>(magnitudes[i] + kLevelZero);
    const auto table = S::template load_quad_table<Bits>(biased);
    for (Index unit = first / kOctets; unit * kOctets < end; ++unit) {
      const std::uint8_t* const from = lines + unit * kUnitBytes;
      SINQ_UNROLL_VECTORS
      for (int l = 0; l < Bits + kVectorSignLines; ++l) Units::fetch(from + l * kLineBytes);
      for (int part = 0; part < kLineBytes; part += S::kBytes) {
        unit_octets<Bits, 0>(from + part, first - unit * kOctets, end - unit * kOctets, table,
                             tile + (unit * kOctets - first) * 2 * kLineBytes + part);
      }
    }
  }
  /// Those of one unit that are among first..end; `tile` is where the unit's first one would be.
  template <int Bits, int Octet, class Table>
  SINQ_INLINE void unit_octets(const std::uint8_t* unit, Index first, Index end, const Table& table,
                               std::uint8_t* tile) noexcept {
    if (Octet >= first && Octet < end) {
      vector_quad<Bits, 2 * Octet>(unit, table, tile);
      vector_quad<Bits, 2 * Octet + 1>(unit, table, tile);
    }
    if constexpr (Octet + 1 < kVectorUnitCols / 8) unit_octets<Bits, Octet + 1>(unit, first, end, table, tile);
  }
  template <int Bits, int Q, class Table>
  SINQ_INLINE void vector_quad(const std::uint8_t* unit, const Table& table, std::uint8_t* tile) noexcept {
    const B levels = Vectors::template with_signs<Q>(unit, Vectors::template magnitudes<Bits, Q>(unit, table));
    S::store_bytes(tile + Q * kLineBytes, levels);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
