// Compiled once per instruction set by trellis_decoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// All that a level depends on is nibbles of the lane's stream: with N(t), the four bits that end at bit t, a step that
/// ends at bit e has n0 = N(e), n1 = N(e - 4), n2 = N(e - 8) and m = N(e - 2). A line has eight of them whatever the
/// rate is; they are made once, kept in the cache, and a rate is nothing but where its steps read. So there is one loop
/// for all rates.
template <>
struct TrellisDecoder<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using B = S::B;

  /// Levels of the blocks of lines [first, first + count) of one panel, whose first byte is `panel`, in the order of
  /// their steps: levels[4 * count quads][8 blocks of 16 rows][64 lanes], each a signed byte plus `zero` (0, or 128 for
  /// unsigned bytes), modulo 256.
  SINQ_TARGET static void run(const TrellisGeometry& geometry, const std::uint8_t* panel, Index first, Index count,
                              const TrellisTables& tables, int zero, std::uint8_t* levels) noexcept {
    alignas(16) std::uint8_t entries[3][TrellisTables::kEntries];
    for (std::size_t i = 0; i < TrellisTables::kEntries; ++i) {
      entries[0][i] = static_cast<std::uint8_t>(tables.a[i] + zero);
      entries[1][i] = static_cast<std::uint8_t>(tables.b[i]);
      entries[2][i] = static_cast<std::uint8_t>(tables.c[i]);
    }
    const Tables t{S::load_table16(entries[0]), S::load_table16(entries[1]), S::load_table16(entries[2])};
    const Stream stream{panel, geometry.panel_lines(), geometry.quarter_bits};
    for (Index part = 0; part < kLineBytes; part += S::kBytes) {
      // Steps of 2 and of 4 bits read every second nibble.
      if (geometry.quarter_bits % 8 == 0) {
        blocks<2>(stream, part, first, count, t, levels + part);
      } else {
        blocks<1>(stream, part, first, count, t, levels + part);
      }
    }
  }

 private:
  static constexpr Index kLineBytes = TrellisGeometry::kLineBytes;
  static constexpr Index kLineBits = 8;  ///< of a lane
  /// Bytes between a line and the ones that are fetched while it is decoded: one far ahead into the second cache, one
  /// that has arrived there into the first.
  static constexpr Index kFarAhead = 12288;
  static constexpr Index kAhead = 2048;

  struct Tables {
    B a, b, c;
  };
  struct Stream {
    const std::uint8_t* panel;
    Index lines;
    Index quarter_bits;
  };

  /// `Spacing`: only nibbles that end at multiples of it are made.
  template <int Spacing>
  SINQ_TARGET static void blocks(const Stream& stream, Index part, Index first, Index count, const Tables& tables,
                                 std::uint8_t* levels) noexcept {
    // A block has quarter_bits lines of eight nibbles, and reads those of the line before.
    constexpr Index kMostBits = kLineBits * TrellisGeometry::kMaxQuarterBits;
    alignas(64) std::uint8_t room[(kLineBits + kMostBits) * S::kBytes];
    std::uint8_t* const nibbles = room + (kLineBits - 1) * S::kBytes;  // N(t) is at nibbles + t * kBytes
    const Index q = stream.quarter_bits, bits = kLineBits * q;
    const Index line = first * q;
    B last = lowest_nibble(S::load_bytes(line_of(stream, line - 2) + part));
    last = put_nibbles<Spacing>(S::load_bytes(line_of(stream, line - 1) + part), last, nibbles - 8 * S::kBytes);
    const std::uint8_t* from = line_of(stream, line) + part;
    // Where the four steps of `q` bits end.
    const Index step[4] = {q / 4 * S::kBytes, q / 2 * S::kBytes, 3 * q / 4 * S::kBytes, q * S::kBytes};
    for (Index block = 0; block < count; ++block) {
      Index made = 0;
      for (Index end = q; end <= bits; end += q, levels += 4 * kLineBytes) {
        for (; made < end; made += kLineBits, from += kLineBytes) {
          if (part == 0) fetch(from);
          last = put_nibbles<Spacing>(S::load_bytes(from), last, nibbles + made * S::kBytes);
        }
        const std::uint8_t* const begin = nibbles + (end - q) * S::kBytes;
        S::store_bytes(levels, level(begin + step[0], tables));
        S::store_bytes(levels + kLineBytes, level(begin + step[1], tables));
        S::store_bytes(levels + 2 * kLineBytes, level(begin + step[2], tables));
        S::store_bytes(levels + 3 * kLineBytes, level(begin + step[3], tables));
      }
      SINQ_UNROLL
      for (Index t = 1 - kLineBits; t <= 0; ++t) {
        S::store_bytes(nibbles + t * S::kBytes, S::load_bytes(nibbles + (bits + t) * S::kBytes));
      }
    }
  }

  static const std::uint8_t* line_of(const Stream& stream, Index line) noexcept {
    return stream.panel + (line < 0 ? line + stream.lines : line) * kLineBytes;
  }
  SINQ_INLINE void fetch(const std::uint8_t* line) noexcept {
    // Addresses, not pointers into the matrix: they may lie behind its end.
    const auto address = reinterpret_cast<std::uintptr_t>(line);
    S::prefetch_far(reinterpret_cast<const void*>(address + kFarAhead));
    S::prefetch(reinterpret_cast<const void*>(address + kAhead));
  }

  /// Nibbles are kept without the bits above them, unless the operation that meets them clears those at no cost.
  SINQ_INLINE B lowest_nibble(B bytes) noexcept {
    return S::kTernaryLogic ? bytes : S::bit_and(bytes, S::set1_byte(0x0f));
  }
  template <int N>
  SINQ_INLINE B nibble(B bytes) noexcept {
    return lowest_nibble(S::template shift_right<N>(bytes));
  }

  /// Writes N(1) .. N(8) of a line (t = 0 is at `to`), and returns N(8); `last` is that of the line before.
  template <int Spacing>
  SINQ_INLINE B put_nibbles(B line, B last, std::uint8_t* to) noexcept {
    const B middle = nibble<4>(line);
    const B end = lowest_nibble(line);
    // The byte that ends at bit 4.
    const B across = S::kTernaryLogic ? S::select_bits(S::set1_byte(0x0f), middle, S::template shift_left<4>(last))
                                      : S::bit_or(middle, S::template shift_left<4>(last));
    S::store_bytes(to + 2 * S::kBytes, nibble<2>(across));
    S::store_bytes(to + 4 * S::kBytes, middle);
    S::store_bytes(to + 6 * S::kBytes, nibble<2>(line));
    S::store_bytes(to + 8 * S::kBytes, end);
    if constexpr (Spacing == 1) {
      S::store_bytes(to + 1 * S::kBytes, nibble<3>(across));
      S::store_bytes(to + 3 * S::kBytes, nibble<1>(across));
      S::store_bytes(to + 5 * S::kBytes, nibble<3>(line));
      S::store_bytes(to + 7 * S::kBytes, nibble<1>(line));
    }
    return end;
  }

  /// The levels of a step that ends at bit 0 of `nibbles`.
  SINQ_INLINE B level(const std::uint8_t* nibbles, const Tables& tables) noexcept {
    const B n0 = S::load_bytes(nibbles), n1 = S::load_bytes(nibbles - 4 * S::kBytes);
    const B n2 = S::load_bytes(nibbles - 8 * S::kBytes), m = S::load_bytes(nibbles - 2 * S::kBytes);
    B a, b, c;
    if constexpr (S::kTernaryLogic) {
      const B mask = S::set1_byte(0x0f);
      a = S::xor_and(n0, n2, mask);
      b = S::xor_and(m, n2, mask);
      c = S::and_xor(n1, mask, a);
    } else {
      a = S::bit_xor(n0, n2);
      b = S::bit_xor(m, n2);
      c = S::bit_xor(n1, a);
    }
    return S::add_bytes(S::add_bytes(S::lookup_bytes16(tables.a, a), S::lookup_bytes16(tables.b, b)),
                        S::lookup_bytes16(tables.c, c));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
