// Compiled once per instruction set by trellis_decoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// All that a level depends on is nibbles of its lane's stream: with N(t), the four bits that end at bit t, a step that
/// ends at bit e has n0 = N(e), m = N(e - 2), n1 = N(e - 4) and n2 = N(e - 8). A line has eight of them whatever the
/// rate is; they are put into the cache, and a rate is nothing but where its steps read. So there is one loop for all
/// rates, which every program that unpacks codes can afford to compile.
template <>
struct TrellisDecoder<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using B = S::B;

  /// Levels of all steps of `lines`, in their order: levels[quads][8 blocks of 16 rows][64 lanes].
  SINQ_TARGET static void run(const TrellisLines& lines, const TrellisLookup& tables, std::uint8_t* levels) noexcept {
    for (Index part = 0; part < kLineBytes; part += S::kBytes) blocks(lines, part, tables, levels + part);
  }

 private:
  static constexpr Index kLineBytes = TrellisGeometry::kLineBytes;
  static constexpr Index kLineBits = 8;  ///< of a lane

  struct Tables {
    B a, b, c;
  };

  SINQ_TARGET static void blocks(const TrellisLines& lines, Index part, const TrellisLookup& lookup,
                                 std::uint8_t* levels) noexcept {
    // A block has quarter_bits lines of eight nibbles, and reads those of the line before.
    constexpr Index kMostBits = kLineBits * TrellisGeometry::kMaxQuarterBits;
    alignas(64) std::uint8_t room[(kLineBits + kMostBits) * S::kBytes];
    std::uint8_t* const nibbles = room + (kLineBits - 1) * S::kBytes;  // N(t) is at nibbles + t * kBytes
    const Tables tables{S::load_table16(lookup.bytes()), S::load_table16(lookup.bytes() + TrellisTables::kEntries),
                        S::load_table16(lookup.bytes() + 2 * TrellisTables::kEntries)};
    const Index q = lines.quarter_bits, bits = kLineBits * q;
    B last = lowest_nibble(S::load_bytes(lines.line(-2) + part));
    last = put_nibbles(S::load_bytes(lines.line(-1) + part), last, room);
    const std::uint8_t* from = lines.begin + part;
    // Where the four steps of `q` bits end.
    const Index step[4] = {q / 4 * S::kBytes, q / 2 * S::kBytes, 3 * q / 4 * S::kBytes, q * S::kBytes};
    for (Index s = 0; s < lines.steps; s += TrellisGeometry::kBlockSteps) {
      Index made = 0;
      for (Index end = q; end <= bits; end += q) {
        for (; made < end; made += kLineBits, from += kLineBytes) {
          last = put_nibbles(S::load_bytes(from), last, nibbles + (made + 1) * S::kBytes);
        }
        const std::uint8_t* const begin = nibbles + (end - q) * S::kBytes;
        for (const Index at : step) {
          S::store_bytes(levels, level(begin + at, tables));
          levels += kLineBytes;
        }
      }
      for (Index t = 1 - kLineBits; t <= 0; ++t) {
        S::store_bytes(nibbles + t * S::kBytes, S::load_bytes(nibbles + (bits + t) * S::kBytes));
      }
    }
  }

  SINQ_INLINE B lowest_nibble(B bytes) noexcept { return S::bit_and(bytes, S::set1_byte(0x0f)); }
  template <int N>
  SINQ_INLINE B nibble(B bytes) noexcept {
    return lowest_nibble(S::template shift_right<N>(bytes));
  }
  /// Writes N(1) .. N(8) of a line to `to`, and returns N(8); `last` is that of the line before.
  SINQ_INLINE B put_nibbles(B line, B last, std::uint8_t* to) noexcept {
    const B middle = nibble<4>(line);
    const B across = S::bit_or(middle, S::template shift_left<4>(last));  // the byte that ends at bit 4
    const B end = lowest_nibble(line);
    S::store_bytes(to, nibble<3>(across));
    S::store_bytes(to + S::kBytes, nibble<2>(across));
    S::store_bytes(to + 2 * S::kBytes, nibble<1>(across));
    S::store_bytes(to + 3 * S::kBytes, middle);
    S::store_bytes(to + 4 * S::kBytes, nibble<3>(line));
    S::store_bytes(to + 5 * S::kBytes, nibble<2>(line));
    S::store_bytes(to + 6 * S::kBytes, nibble<1>(line));
    S::store_bytes(to + 7 * S::kBytes, end);
    return end;
  }
  /// The levels of a step that ends at bit 0 of `nibbles`.
  SINQ_INLINE B level(const std::uint8_t* nibbles, const Tables& tables) noexcept {
    const B n2 = S::load_bytes(nibbles - 8 * S::kBytes);
    const B at = S::bit_xor(S::load_bytes(nibbles), n2);
    const B m = S::bit_xor(S::load_bytes(nibbles - 2 * S::kBytes), n2);
    const B n1 = S::bit_xor(S::load_bytes(nibbles - 4 * S::kBytes), at);
    return S::add_bytes(S::add_bytes(S::lookup_bytes16(tables.a, at), S::lookup_bytes16(tables.b, m)),
                        S::lookup_bytes16(tables.c, n1));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
