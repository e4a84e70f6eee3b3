// Compiled once per instruction set by panel_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Sixteen rows times one vector, in one pass over the panel: codes go from memory into the dot product.
template <>
struct PanelMatvec<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  using Decoder = UnitDecoder<SINQ_ISA>;
  static constexpr int kParts = Decoder::kParts;

  /// Whether groups start on units, as this kernel needs, and a table of levels fits into registers.
  static bool handles(const Layout& layout) noexcept {
    const bool whole_units = layout.group_size % kUnitCols == 0 || layout.group_size >= layout.cols;
    return whole_units && (layout.level_count == 0 || (layout.bits >= 2 && layout.bits <= 4));
  }

  /// out[16] = the panel's rows times `in` (a batch of one, integers). A template so that only programs that call it
  /// pay for it.
  template <class View>
  static void run_integers(const View& view, Index panel, const InputView& in, const Levels& levels,
                           float* out) noexcept {
    with_digits(in.digits, [&](auto x_digits) {
      constexpr int kX = x_digits;
      switch (view.layout().bits) {
        case 1:
          return run(view, panel, in, levels, &integers<1, 0, kX>, out);
        case 2:
          return run(view, panel, in, levels, integers_of<2, kX>(levels), out);
        case 3:
          return run(view, panel, in, levels, integers_of<3, kX>(levels), out);
        case 4:
          return run(view, panel, in, levels, integers_of<4, kX>(levels), out);
        case 5:
          return run(view, panel, in, levels, &integers<5, 0, kX>, out);
        case 8:
          return run(view, panel, in, levels, &integers<8, 0, kX>, out);
        default:
          return run(view, panel, in, levels, &integers<kAnyBits, 0, kX>, out);
      }
    });
  }

  /// As above, of float32 activations.
  template <class View>
  static void run_floats(const View& view, Index panel, const InputView& in, const Levels& levels,
                         float* out) noexcept {
    switch (view.layout().bits) {
      case 1:
        return run(view, panel, in, levels, &floats<1, S::kFloatTableIsFast>, out);
      case 2:
        return run(view, panel, in, levels, floats_of<2>(levels), out);
      case 3:
        return run(view, panel, in, levels, floats_of<3>(levels), out);
      case 4:
        return run(view, panel, in, levels, floats_of<4>(levels), out);
      case 8:
        return run(view, panel, in, levels, &floats<8, false>, out);
      default:
        return run(view, panel, in, levels, &floats<kAnyBits, false>, out);
    }
  }

 private:
  /// Stands for widths whose units become bytes in memory before they are multiplied: 6 and 7 bits lose up to 8% by
  /// that from cache, floats of 5 to 7 bits up to 15%, and every program is saved a loop for each.
  static constexpr int kAnyBits = 0;

  /// Blocks that one call of `Dots` multiplies at most: those of a super-block, unless groups are long.
  static constexpr Index kRun = 16;
  /// Multiplies blocks [first, first + count) of activations with codes from `lines` on: out[count][16]. Returns where
  /// the next block's codes are. What differs by width and digits is in here and nowhere else.
  using Dots = const std::uint8_t* (*)(const std::uint8_t* lines, int bits, const InputView& in, Index first,
                                       Index count, const Levels& levels, float* out);

  template <class F>
  static void with_digits(int digits, F f) noexcept {
    if (digits == 1) return f(std::integral_constant<int, 1>{});
    f(std::integral_constant<int, 2>{});
  }
  /// Loops for widths that tables of levels may have.
  template <int Bits, int XDigits>
  static Dots integers_of(const Levels& levels) noexcept {
    if (levels.values == nullptr) return &integers<Bits, 0, XDigits>;
    return levels.table.digits == 1 ? &integers<Bits, 1, XDigits> : &integers<Bits, 2, XDigits>;
  }
  template <int Bits>
  static Dots floats_of(const Levels& levels) noexcept {
    if constexpr (S::kFloatTableIsFast) {
      return &floats<Bits, true>;
    } else {
      return levels.values == nullptr ? &floats<Bits, false> : &floats<Bits, true>;
    }
  }

  /// Walks the panel: the dot products of each block, times its group's scale, plus its offset times the activations'
  /// sum.
  SINQ_TARGET static void run(const RepackedView& view, Index panel, const InputView& in, const Levels& levels,
                              Dots dots, float* out) noexcept {
    const LevelAffine affine = in.digits == 0 ? LevelAffine{} : levels.table.affine;
    F sum[kParts];
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) sum[p] = S::zero();
    Index block = 0;
    for (PanelWalk walk(view, panel); !walk.done(); walk.next()) {
      alignas(64) float a[kSuperGroups * kPanelRows], b[kSuperGroups * kPanelRows], dot[kRun * kPanelRows];
      start(walk, affine, a, b);
      const std::uint8_t* lines = walk.lines();
      const Index in_all = walk.groups() * in.blocks.per_group;
      const Index end = in_all < in.blocks.count - block ? block + in_all : in.blocks.count;
      for (Index group = 0, piece = 0; block < end;) {
        const Index count = end - block < kRun ? end - block : kRun;
        lines = dots(lines, view.layout().bits, in, block, count, levels, dot);
        for (Index i = 0; i < count; ++i, ++block) {
          const F total = S::set1(in.sums[block]);
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) {
            const Index row = group * kPanelRows + p * S::kWidth;
            sum[p] = S::fma(S::load(b + row), total, sum[p]);
            sum[p] = S::fma(S::load(a + row), S::load(dot + i * kPanelRows + p * S::kWidth), sum[p]);
          }
          if (++piece == in.blocks.per_group) {
            piece = 0;
            ++group;
          }
        }
      }
    }
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) S::store(out + p * S::kWidth, sum[p]);
  }

  /// Room for a block's codes as bytes.
  static constexpr Index kBytesRoom = kMaxBlockCols * kPanelRows;

  /// Where to read the codes of a block of `units` units from `lines` on: there, or as bytes in `room`.
  template <int Bits>
  SINQ_INLINE const std::uint8_t* block_codes(const std::uint8_t* lines, Index units, int bits,
                                              std::uint8_t* room) noexcept {
    if constexpr (Bits != kAnyBits) {
      return lines;
    } else {
      const auto to_bytes = Decoder::to_bytes(bits);
      for (Index u = 0; u < units; ++u) to_bytes(lines + u * bits * kLineBytes, room + u * 8 * kLineBytes);
      return room;
    }
  }

  /// Integer activations of `XDigits` digits; `TDigits` digits of a table of levels, 0 if codes are levels.
  template <int Bits, int TDigits, int XDigits>
  SINQ_TARGET static const std::uint8_t* integers(const std::uint8_t* lines, int bits, const InputView& in, Index first,
                                                  Index count, const Levels& levels, float* out) noexcept {
    alignas(64) std::uint8_t room[Bits == kAnyBits ? kBytesRoom : 1];
    const B table[2] = {S::load_table16(levels.table.high), S::load_table16(levels.table.low)};
    for (Index block = first; block < first + count; ++block) {
      const Index units = ceil_div(in.blocks.col_count(block), kUnitCols);
      const std::uint8_t* const codes = block_codes<Bits>(lines, units, bits, room);
      const F scale = S::set1(in.scales[block]);
      for (int p = 0; p < kParts; ++p, out += S::kWidth) {
        const Index x = block * in.blocks.stride;
        const F dot =
            block_dot<Bits, TDigits, XDigits>(codes + p * S::kBytes, units, p == 0, in.high + x, in.low + x, table);
        S::store(out, S::mul(dot, scale));
      }
      lines += units * (Bits == kAnyBits ? bits : Bits) * kLineBytes;
    }
    return lines;
  }

  /// Fetches the super-block's aux of later and decodes this one's.
  SINQ_INLINE void start(const PanelWalk& walk, LevelAffine affine, float* a, float* b) noexcept {
    const auto* aux = reinterpret_cast<const std::uint8_t*>(walk.aux().scales);
    for (Index i = 0; i < walk.aux_bytes(); i += kLineBytes) Decoder::fetch(aux + i);
    PanelAffine<S::SimdTag>::run(walk.aux(), walk.groups(), affine, a, b);
  }
  /// Codes of one part of the rows (`lines` is its first byte) times a block of activations.
  template <int Bits, int TDigits, int XDigits>
  SINQ_INLINE F block_dot(const std::uint8_t* lines, Index units, bool is_first_part, const std::int8_t* high,
                          const std::int8_t* low, const B (&table)[2]) noexcept {
    constexpr int kWidth = Bits == kAnyBits ? 8 : Bits;
    constexpr int kSlots = TDigits == 0 ? Decoder::template slots<kWidth>() : 1;
    constexpr int kLargestCode = Bits == kAnyBits ? 127 : Decoder::template largest<kWidth, kSlots>();
    constexpr int kLargest = TDigits == 0 ? kLargestCode : TDigits == 1 ? S::kMaxCode : 127;
    // Products of digits i and j count 128^-(i + j).
    constexpr int kSums = TDigits == 2 && XDigits == 2 ? 3 : (TDigits == 2 ? 2 : 1) * XDigits;
    // At least two chains of dependent sums, or their latency shows.
    constexpr int kChains = kSlots == 1 ? 2 : kSlots;
    I sums[std::size_t{kSums}][std::size_t{kChains}];
    SINQ_UNROLL_VECTORS
    for (int i = 0; i < kSums; ++i) {
      SINQ_UNROLL_VECTORS
      for (int k = 0; k < kChains; ++k) sums[i][k] = S::set1_index(0);
    }
    for (Index u = 0; u < units; ++u, lines += kWidth * kLineBytes, high += kUnitCols, low += kUnitCols) {
      if (Bits != kAnyBits && is_first_part) {
        SINQ_UNROLL_VECTORS
        for (int l = 0; l < kWidth; ++l) Decoder::fetch(lines + l * kLineBytes);
      }
      B quads[8];
      Decoder::template decode<kWidth, kSlots>(lines, quads);
      SINQ_UNROLL_VECTORS
      for (int q = 0; q < 8; ++q) {
        const int k = q % kChains;
        const B x_high = S::broadcast4(high + 4 * q);
        const B t_high = TDigits == 0 ? quads[q] : S::lookup_bytes16(table[0], quads[q]);
        sums[0][k] = S::template dot<kLargest>(sums[0][k], t_high, x_high);
        if constexpr (XDigits == 2) {
          sums[1][k] = S::template dot<kLargest>(sums[1][k], t_high, S::broadcast4(low + 4 * q));
        }
        if constexpr (TDigits == 2) {
          const B t_low = S::lookup_bytes16(table[1], quads[q]);
          sums[1][k] = S::template dot<kLargest>(sums[1][k], t_low, x_high);
          if constexpr (XDigits == 2) {
            sums[2][k] = S::template dot<kLargest>(sums[2][k], t_low, S::broadcast4(low + 4 * q));
          }
        }
      }
    }
    constexpr int kShift = kSlots == 1 ? 0 : kWidth;
    I whole = merge_chains<kShift, kChains, 0>(sums[0]);
    if constexpr (kSums >= 2) {
      whole = S::add_index(S::template scale_up<7>(whole), merge_chains<kShift, kChains, 0>(sums[1]));
    }
    const F dot = S::to_float(whole);
    if constexpr (kSums < 3) {
      return dot;
    } else {
      return S::fma(dot, S::set1(128.0F), S::to_float(merge_chains<0, kChains, 0>(sums[2])));
    }
  }

  template <int Shift, int Chains, int At>
  SINQ_INLINE I merge_chains(const I (&sums)[std::size_t{Chains}]) noexcept {
    const I own = S::template scale_down<Shift * At>(sums[At]);
    if constexpr (At + 1 == Chains) {
      return own;
    } else {
      return S::add_index(own, merge_chains<Shift, Chains, At + 1>(sums));
    }
  }

  /// float32 activations.
  template <int Bits, bool LookUp>
  SINQ_TARGET static const std::uint8_t* floats(const std::uint8_t* lines, int bits, const InputView& in, Index first,
                                                Index count, const Levels& levels, float* out) noexcept {
    constexpr int kWidth = Bits == kAnyBits ? 8 : Bits;
    alignas(64) std::uint8_t room[Bits == kAnyBits ? kBytesRoom : 1];
    const auto table = S::load_float_table(levels.first16);
    for (Index block = first; block < first + count; ++block) {
      const Index units = ceil_div(in.blocks.col_count(block), kUnitCols);
      const std::uint8_t* const codes = block_codes<Bits>(lines, units, bits, room);
      for (int p = 0; p < kParts; ++p, out += S::kWidth) {
        const std::uint8_t* part = codes + p * S::kBytes;
        const float* x = in.values + block * in.blocks.stride;
        F dots[4];
        SINQ_UNROLL_VECTORS
        for (int j = 0; j < 4; ++j) dots[j] = S::zero();
        for (Index u = 0; u < units; ++u, part += kWidth * kLineBytes, x += kUnitCols) {
          if (Bits != kAnyBits && p == 0) {
            SINQ_UNROLL_VECTORS
            for (int l = 0; l < kWidth; ++l) Decoder::fetch(part + l * kLineBytes);
          }
          B quads[8];
          Decoder::template decode<kWidth, LookUp ? Decoder::kRaw : 1>(part, quads);
          multiply_quads<kWidth, LookUp, 0>(quads, x, table, dots);
        }
        S::store(out, S::add(S::add(dots[0], dots[1]), S::add(dots[2], dots[3])));
      }
      lines += units * (Bits == kAnyBits ? bits : Bits) * kLineBytes;
    }
    return lines;
  }

  template <int Bits, bool LookUp, int Q, class Table>
  SINQ_INLINE void multiply_quads(const B (&quads)[8], const float* x, const Table& table, F (&dots)[4]) noexcept {
    multiply<Bits, LookUp, Q, 0>(quads[Q], x, table, dots);
    multiply<Bits, LookUp, Q, 1>(quads[Q], x, table, dots);
    multiply<Bits, LookUp, Q, 2>(quads[Q], x, table, dots);
    multiply<Bits, LookUp, Q, 3>(quads[Q], x, table, dots);
    if constexpr (Q < 7) multiply_quads<Bits, LookUp, Q + 1>(quads, x, table, dots);
  }
  template <int Bits, bool LookUp, int Q, int J, class Table>
  SINQ_INLINE void multiply(B quad, const float* x, const Table& table, F (&dots)[4]) noexcept {
    const F xv = S::set1(x[4 * Q + J]);
    if constexpr (LookUp) {
      constexpr int kShift = 8 * J + Decoder::raw_shift<Bits>(Q);
      dots[J] = S::fma(S::lookup_float(table, S::template shift_right<kShift>(quad)), xv, dots[J]);
    } else {
      dots[J] = S::fma(S::to_float(S::template byte_of_lane<J>(quad)), xv, dots[J]);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
