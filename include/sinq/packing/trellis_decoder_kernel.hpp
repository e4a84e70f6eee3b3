// Compiled once per instruction set with vectors by trellis_decoder.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// All that a level depends on is nibbles of its lane's stream: with N(t), the four bits that end at bit t, a step that
/// ends at bit e has n0 = N(e), m = N(e - 2), n1 = N(e - 4) and n2 = N(e - 8). A line has eight of them, whatever the
/// rate is; they and those of the line before stay in registers, and a rate is no more than which of them its steps
/// combine.
template <>
struct TrellisDecoder<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using B = S::B;

  /// As TrellisDecoder<isa::Portable>::run. A template so that only programs that call it pay for it.
  template <class Geometry>
  static void run(const Geometry& geometry, const std::uint8_t* panel, Index first, Index count,
                  const TrellisLookup& tables, std::uint8_t* levels) noexcept {
    const Stream stream{panel, first * geometry.quarter_bits, geometry.panel_lines(),
                        count * TrellisGeometry::kBlockSteps};
    with_quarter_bits(geometry.quarter_bits, [&](auto quarter_bits) {
      for (Index part = 0; part < kLineBytes; part += S::kBytes) {
        steps<quarter_bits>(stream, part, tables.bytes(), levels + part);
      }
    });
  }

 private:
  static constexpr Index kLineBytes = TrellisGeometry::kLineBytes;
  static constexpr int kLineBits = 8;  ///< of a lane

  struct Stream {
    const std::uint8_t* panel;
    Index first;  ///< the line to start with ...
    Index lines;  ///< ... of so many
    Index steps;  ///< to decode

    [[nodiscard]] const std::uint8_t* before(Index count) const noexcept {
      return panel + (first < count ? first - count + lines : first - count) * kLineBytes;
    }
  };
  struct Tables {
    B a, b, c;
  };
  /// at[t]: those that end at bit t = 1..8 of a line.
  struct Nibbles {
    B at[kLineBits + 1];
  };

  template <int QuarterBits = TrellisGeometry::kMinQuarterBits, class F>
  static void with_quarter_bits(int quarter_bits, F f) noexcept {
    if constexpr (QuarterBits < TrellisGeometry::kMaxQuarterBits) {
      if (quarter_bits != QuarterBits) return with_quarter_bits<QuarterBits + 1>(quarter_bits, f);
    }
    f(std::integral_constant<int, QuarterBits>{});
  }

  /// Whole rates start every quad on a line, halves every second one, quarters every fourth: what is in between is
  /// unrolled.
  template <int QuarterBits>
  SINQ_TARGET static void steps(const Stream& stream, Index part, const std::uint8_t* tables,
                                std::uint8_t* levels) noexcept {
    constexpr int kSteps = QuarterBits % 4 == 0 ? 8 : QuarterBits % 2 == 0 ? 16 : 32;
    constexpr int kLines = kSteps * QuarterBits / (4 * kLineBits);
    const Tables t{S::load_table16(tables), S::load_table16(tables + TrellisTables::kEntries),
                   S::load_table16(tables + 2 * TrellisTables::kEntries)};
    const B before = lowest_nibble(S::load_bytes(stream.before(2) + part));
    Nibbles last = nibbles(S::load_bytes(stream.before(1) + part), before);
    const std::uint8_t* from = stream.panel + stream.first * kLineBytes + part;
    for (Index s = 0; s < stream.steps; s += kSteps, from += kLines * kLineBytes, levels += kSteps * kLineBytes) {
      lines<QuarterBits, kLines, 0, 0>(from, t, last, levels);
    }
  }
  /// From line Line on, in which step Step is the first to end.
  template <int QuarterBits, int Lines, int Line, int Step>
  SINQ_INLINE void lines(const std::uint8_t* from, const Tables& tables, Nibbles& last, std::uint8_t* levels) noexcept {
    if constexpr (Line < Lines) {
      const Nibbles own = nibbles(S::load_bytes(from + Line * kLineBytes), last.at[kLineBits]);
      steps_of_line<QuarterBits, Line, Step>(own, last, tables, levels);
      last = own;
      // Steps end at floor((step + 1) * QuarterBits / 4).
      constexpr int kNext = (4 * (kLineBits * (Line + 1) + 1) - 1) / QuarterBits;
      lines<QuarterBits, Lines, Line + 1, kNext>(from, tables, last, levels);
    }
  }
  template <int QuarterBits, int Line, int Step>
  SINQ_INLINE void steps_of_line(const Nibbles& own, const Nibbles& last, const Tables& tables,
                                 std::uint8_t* levels) noexcept {
    constexpr int kEnd = (Step + 1) * QuarterBits / 4 - kLineBits * Line;
    if constexpr (kEnd <= kLineBits) {
      S::store_bytes(levels + Step * kLineBytes, level(ending_at<kEnd>(own, last), ending_at<kEnd - 2>(own, last),
                                                       ending_at<kEnd - 4>(own, last), last.at[kEnd], tables));
      steps_of_line<QuarterBits, Line, Step + 1>(own, last, tables, levels);
    }
  }
  template <int T>
  SINQ_INLINE B ending_at(const Nibbles& own, const Nibbles& last) noexcept {
    if constexpr (T > 0) return own.at[T];
    return last.at[T > 0 ? 0 : T + kLineBits];
  }

  /// Nibbles are kept without the bits above them, unless the operation that combines them clears those at no cost.
  SINQ_INLINE B lowest_nibble(B bytes) noexcept {
    return S::kTernaryLogic ? bytes : S::bit_and(bytes, S::set1_byte(0x0f));
  }
  template <int N>
  SINQ_INLINE B nibble(B bytes) noexcept {
    return lowest_nibble(S::template shift_right<N>(bytes));
  }
  /// Those of a line; `last` ends at bit 8 of the one before. What no step needs, the compiler leaves out.
  SINQ_INLINE Nibbles nibbles(B line, B last) noexcept {
    const B middle = nibble<4>(line);
    // The byte that ends at bit 4.
    const B across = S::kTernaryLogic ? S::select_bits(S::set1_byte(0x0f), middle, S::template shift_left<4>(last))
                                      : S::bit_or(middle, S::template shift_left<4>(last));
    return {{B{}, nibble<3>(across), nibble<2>(across), nibble<1>(across), middle, nibble<3>(line), nibble<2>(line),
             nibble<1>(line), lowest_nibble(line)}};
  }
  SINQ_INLINE B level(B n0, B m, B n1, B n2, const Tables& tables) noexcept {
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
