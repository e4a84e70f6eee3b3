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
  template <class Lookup>
  static void run(const TrellisLines& lines, const Lookup& tables, std::uint8_t* levels) noexcept {
    const auto store =
        with_quarter_bits(lines.quarter_bits, [](auto quarter_bits) { return &store_all<quarter_bits>; });
    for (Index part = 0; part < kLineBytes; part += S::kBytes) store(lines, part, tables, levels + part);
  }

  /// Calls Sink::take<step>(sink, levels) for every step of `lines`, in order, with `step` counted from the last call
  /// of Sink::advance<steps>(sink) on, which comes after 8, 16 or 32 of them. `part` is the first byte of a line that
  /// is decoded.
  template <int QuarterBits, class Sink>
  SINQ_INLINE void walk(const TrellisLines& lines, Index part, const TrellisLookup& tables, Sink& sink) noexcept {
    // Whole rates start every quad on a line, halves every second one, quarters every fourth: what is in between is
    // unrolled.
    constexpr int kSteps = QuarterBits % 4 == 0 ? 8 : QuarterBits % 2 == 0 ? 16 : 32;
    constexpr int kLines = kSteps * QuarterBits / (4 * kLineBits);
    const Tables t{S::load_table16(tables.bytes()), S::load_table16(tables.bytes() + TrellisTables::kEntries),
                   S::load_table16(tables.bytes() + 2 * TrellisTables::kEntries)};
    const B before = lowest_nibble(S::load_bytes(lines.line(-2) + part));
    Nibbles last = nibbles(S::load_bytes(lines.line(-1) + part), before);
    const std::uint8_t* from = lines.begin + part;
    for (Index s = 0; s < lines.steps; s += kSteps, from += kLines * kLineBytes) {
      walk_lines<QuarterBits, kLines, 0, 0>(from, t, last, sink);
      Sink::template advance<kSteps>(sink);
    }
  }

 private:
  static constexpr Index kLineBytes = TrellisGeometry::kLineBytes;
  static constexpr int kLineBits = 8;  ///< of a lane
  /// Bytes between a line and the ones that are fetched while it is decoded: one far ahead into the second cache, one
  /// that has arrived there into the first.
  static constexpr std::uintptr_t kFarAhead = 12288;
  static constexpr std::uintptr_t kAhead = 1024;

  struct Tables {
    B a, b, c;
  };
  /// at[t]: those that end at bit t = 1..8 of a line.
  struct Nibbles {
    B at[kLineBits + 1];
  };
  struct Store {
    std::uint8_t* levels;

    template <int Step>
    SINQ_INLINE void take(Store& sink, B level) noexcept {
      S::store_bytes(sink.levels + Step * kLineBytes, level);
    }
    template <int Steps>
    SINQ_INLINE void advance(Store& sink) noexcept {
      sink.levels += Steps * kLineBytes;
    }
  };

  template <int QuarterBits>
  SINQ_TARGET static void store_all(const TrellisLines& lines, Index part, const TrellisLookup& tables,
                                    std::uint8_t* levels) noexcept {
    Store sink{levels};
    walk<QuarterBits>(lines, part, tables, sink);
  }

  SINQ_INLINE void fetch(const std::uint8_t* line) noexcept {
    // Addresses, not pointers into the matrix: they may lie behind its end.
    const auto address = reinterpret_cast<std::uintptr_t>(line);
    S::prefetch_far(reinterpret_cast<const void*>(address + kFarAhead));
    S::prefetch(reinterpret_cast<const void*>(address + kAhead));
  }
  /// From line Line on, in which step Step is the first to end.
  template <int QuarterBits, int Lines, int Line, int Step, class Sink>
  SINQ_INLINE void walk_lines(const std::uint8_t* from, const Tables& tables, Nibbles& last, Sink& sink) noexcept {
    if constexpr (Line < Lines) {
      fetch(from + Line * kLineBytes);
      const Nibbles own = nibbles(S::load_bytes(from + Line * kLineBytes), last.at[kLineBits]);
      walk_steps<QuarterBits, Line, Step>(own, last, tables, sink);
      last = own;
      // Steps end at floor((step + 1) * QuarterBits / 4).
      constexpr int kNext = (4 * (kLineBits * (Line + 1) + 1) - 1) / QuarterBits;
      walk_lines<QuarterBits, Lines, Line + 1, kNext>(from, tables, last, sink);
    }
  }
  template <int QuarterBits, int Line, int Step, class Sink>
  SINQ_INLINE void walk_steps(const Nibbles& own, const Nibbles& last, const Tables& tables, Sink& sink) noexcept {
    constexpr int kEnd = (Step + 1) * QuarterBits / 4 - kLineBits * Line;
    if constexpr (kEnd <= kLineBits) {
      Sink::template take<Step>(sink, level(ending_at<kEnd>(own, last), ending_at<kEnd - 2>(own, last),
                                            ending_at<kEnd - 4>(own, last), last.at[kEnd], tables));
      walk_steps<QuarterBits, Line, Step + 1>(own, last, tables, sink);
    }
  }
  template <int T>
  SINQ_INLINE B ending_at(const Nibbles& own, const Nibbles& last) noexcept {
    if constexpr (T > 0) return own.at[T];
    return last.at[T > 0 ? 0 : T + kLineBits];
  }

  /// Nibbles are kept without the bits above them, unless the operation that combines them clears those at no cost.
  SINQ_INLINE B lowest_nibble(B bytes) noexcept {
    return S::kTernaryLogic ? bytes : S::keep(S::bit_and(bytes, S::set1_byte(0x0f)));
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
    if constexpr (S::kTernaryLogic) {
      const B mask = S::set1_byte(0x0f);
      const B at = S::xor_and(n0, n2, mask);
      const B a = S::lookup_bytes16(tables.a, at);
      const B b = S::lookup_bytes16(tables.b, S::xor_and(n2, m, mask));
      return S::add_bytes(S::add_bytes(a, b), S::lookup_bytes16(tables.c, S::xor_masked(at, n1, mask)));
    } else {
      const B at = S::bit_xor(n0, n2);
      const B a = S::lookup_bytes16(tables.a, at);
      const B b = S::lookup_bytes16(tables.b, S::bit_xor(m, n2));
      return S::add_bytes(S::add_bytes(a, b), S::lookup_bytes16(tables.c, S::bit_xor(n1, at)));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
