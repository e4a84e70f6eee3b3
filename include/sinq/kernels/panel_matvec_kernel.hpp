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
    with_bits(view.layout().bits, [&](auto bits) {
      constexpr int kBits = bits;
      if (levels.values == nullptr) return with_digits<kBits, 0>(view, panel, in, levels, out);
      if constexpr (kBits >= 2 && kBits <= 4) {
        if (levels.table.digits < 2) return with_digits<kBits, 1>(view, panel, in, levels, out);
        return with_digits<kBits, 2>(view, panel, in, levels, out);
      }
    });
  }

  /// As above, of float32 activations.
  template <class View>
  static void run_floats(const View& view, Index panel, const InputView& in, const Levels& levels,
                         float* out) noexcept {
    with_bits(view.layout().bits, [&](auto bits) {
      if constexpr (bits <= 4) {
        const bool look_up = S::kFloatTableIsFast || levels.values != nullptr;
        if (look_up) return floats<bits, true>(view, panel, in, levels, out);
      }
      if constexpr (bits > 4 || !S::kFloatTableIsFast) floats<bits, false>(view, panel, in, levels, out);
    });
  }

 private:
  template <int Bits, int TDigits>
  static void with_digits(const RepackedView& view, Index panel, const InputView& in, const Levels& levels,
                          float* out) noexcept {
    if (in.digits == 1) return integers<Bits, TDigits, 1>(view, panel, in, levels, out);
    integers<Bits, TDigits, 2>(view, panel, in, levels, out);
  }

  /// Integer activations of `XDigits` digits; `TDigits` digits of a table of levels, 0 if codes are levels.
  template <int Bits, int TDigits, int XDigits>
  SINQ_TARGET static void integers(const RepackedView& view, Index panel, const InputView& in, const Levels& levels,
                                   float* out) noexcept {
    F sum[kParts];
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) sum[p] = S::zero();
    B table[2] = {S::load_table16(levels.table.high), S::load_table16(levels.table.low)};
    Index block = 0;
    for (PanelWalk walk(view, panel); !walk.done(); walk.next()) {
      alignas(64) float a[kSuperGroups * kPanelRows], b[kSuperGroups * kPanelRows];
      start(walk, levels.table.affine, a, b);
      const std::uint8_t* lines = walk.lines();
      for (Index k = 0; k < walk.groups(); ++k) {
        for (Index piece = 0; piece < in.blocks.per_group && block < in.blocks.count; ++piece, ++block) {
          const Index units = ceil_div(in.blocks.col_count(block), kUnitCols);
          F dot[kParts];
          block_dot<Bits, TDigits, XDigits>(lines, units, in.high + block * in.blocks.stride,
                                            in.low + block * in.blocks.stride, table, dot);
          lines += units * Bits * kLineBytes;
          const F scale = S::set1(in.scales[block]);
          const F total = S::set1(in.sums[block]);
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) {
            const Index row = k * kPanelRows + p * S::kWidth;
            sum[p] = S::fma(S::load(b + row), total, sum[p]);
            sum[p] = S::fma(S::load(a + row), S::mul(dot[p], scale), sum[p]);
          }
        }
      }
    }
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) S::store(out + p * S::kWidth, sum[p]);
  }

  /// Fetches the super-block's aux of later and decodes this one's.
  SINQ_INLINE void start(const PanelWalk& walk, LevelAffine affine, float* a, float* b) noexcept {
    const auto* aux = reinterpret_cast<const std::uint8_t*>(walk.aux().scales);
    for (Index i = 0; i < walk.aux_bytes(); i += kLineBytes) Decoder::fetch(aux + i);
    PanelAffine<SINQ_ISA>::run(walk.aux(), walk.groups(), affine, a, b);
  }
  template <int Bits, int TDigits, int XDigits>
  SINQ_INLINE void block_dot(const std::uint8_t* lines, Index units, const std::int8_t* high, const std::int8_t* low,
                             const B (&table)[2], F (&dot)[kParts]) noexcept {
    constexpr int kSlots = TDigits == 0 ? Decoder::slots<Bits>() : 1;
    constexpr int kLargest = TDigits == 0 ? Decoder::largest<Bits, kSlots>() : TDigits == 1 ? S::kMaxCode : 127;
    // Products of digits i and j count 128^-(i + j).
    constexpr int kSums = TDigits == 2 && XDigits == 2 ? 3 : (TDigits == 2 ? 2 : 1) * XDigits;
    // At least two chains of dependent sums, or their latency shows.
    constexpr int kChains = kSlots == 1 ? 2 : kSlots;
    I sums[std::size_t{kParts}][std::size_t{kSums}][std::size_t{kChains}];
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      SINQ_UNROLL_VECTORS
      for (int i = 0; i < kSums; ++i) {
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kChains; ++k) sums[p][i][k] = S::set1_index(0);
      }
    }
    for (Index u = 0; u < units; ++u, lines += Bits * kLineBytes, high += kUnitCols, low += kUnitCols) {
      SINQ_UNROLL_VECTORS
      for (int l = 0; l < Bits; ++l) Decoder::fetch(lines + l * kLineBytes);
      SINQ_UNROLL_VECTORS
      for (int p = 0; p < kParts; ++p) {
        B quads[8];
        Decoder::decode<Bits, kSlots>(lines + p * S::kBytes, quads);
        SINQ_UNROLL_VECTORS
        for (int q = 0; q < 8; ++q) {
          I(&at)[std::size_t{kSums}][std::size_t{kChains}] = sums[p];
          const int k = q % kChains;
          const B x_high = S::broadcast4(high + 4 * q);
          const B t_high = TDigits == 0 ? quads[q] : S::lookup_bytes16(table[0], quads[q]);
          at[0][k] = S::template dot<kLargest>(at[0][k], t_high, x_high);
          if constexpr (XDigits == 2) {
            at[1][k] = S::template dot<kLargest>(at[1][k], t_high, S::broadcast4(low + 4 * q));
          }
          if constexpr (TDigits == 2) {
            const B t_low = S::lookup_bytes16(table[1], quads[q]);
            at[1][k] = S::template dot<kLargest>(at[1][k], t_low, x_high);
            if constexpr (XDigits == 2) {
              at[2][k] = S::template dot<kLargest>(at[2][k], t_low, S::broadcast4(low + 4 * q));
            }
          }
        }
      }
    }
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      constexpr int kShift = kSlots == 1 ? 0 : Bits;
      I whole = merge_chains<kShift, kChains, 0>(sums[p][0]);
      if constexpr (kSums >= 2) {
        whole = S::add_index(S::template scale_up<7>(whole), merge_chains<kShift, kChains, 0>(sums[p][1]));
      }
      dot[p] = S::to_float(whole);
      if constexpr (kSums == 3)
        dot[p] = S::fma(dot[p], S::set1(128.0F), S::to_float(merge_chains<0, kChains, 0>(sums[p][2])));
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
  SINQ_TARGET static void floats(const RepackedView& view, Index panel, const InputView& in, const Levels& levels,
                                 float* out) noexcept {
    F sum[kParts];
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) sum[p] = S::zero();
    const auto table = S::load_float_table(levels.first16);
    Index block = 0;
    for (PanelWalk walk(view, panel); !walk.done(); walk.next()) {
      alignas(64) float a[kSuperGroups * kPanelRows], b[kSuperGroups * kPanelRows];
      start(walk, {}, a, b);
      const std::uint8_t* lines = walk.lines();
      for (Index k = 0; k < walk.groups(); ++k) {
        for (Index piece = 0; piece < in.blocks.per_group && block < in.blocks.count; ++piece, ++block) {
          const Index units = ceil_div(in.blocks.col_count(block), kUnitCols);
          const float* x = in.values + block * in.blocks.stride;
          F dots[kParts][4];
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) {
            SINQ_UNROLL_VECTORS
            for (int j = 0; j < 4; ++j) dots[p][j] = S::zero();
          }
          for (Index u = 0; u < units; ++u, lines += Bits * kLineBytes, x += kUnitCols) {
            SINQ_UNROLL_VECTORS
            for (int l = 0; l < Bits; ++l) Decoder::fetch(lines + l * kLineBytes);
            SINQ_UNROLL_VECTORS
            for (int p = 0; p < kParts; ++p) {
              B quads[8];
              Decoder::decode<Bits, LookUp ? Decoder::kRaw : 1>(lines + p * S::kBytes, quads);
              multiply_quads<Bits, LookUp, 0>(quads, x, table, dots[p]);
            }
          }
          const F total = S::set1(in.sums[block]);
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) {
            const Index row = k * kPanelRows + p * S::kWidth;
            const F dot = S::add(S::add(dots[p][0], dots[p][1]), S::add(dots[p][2], dots[p][3]));
            sum[p] = S::fma(S::load(b + row), total, sum[p]);
            sum[p] = S::fma(S::load(a + row), dot, sum[p]);
          }
        }
      }
    }
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) S::store(out + p * S::kWidth, sum[p]);
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
