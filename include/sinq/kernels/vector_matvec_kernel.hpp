// Compiled once per instruction set by vector_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Sixteen rows of vector codes times one vector of integers, in one pass over the panel: each code is looked up in
/// registers and meets its four activations with the signs of its weights. Groups may start at any multiple of 8
/// columns of a unit.
template <>
struct VectorMatvec<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  using Decoder = VectorDecoder<SINQ_ISA>;
  /// Vectors that hold the 64 bytes of a line.
  static constexpr int kParts = static_cast<int>(kLineBytes) / S::kBytes;
  /// At least two chains of dependent sums, or their latency shows.
  static constexpr int kChains = kParts == 1 ? 2 : 1;

  /// out[16] = the panel's rows times `in` (a batch of one, integers). A template so that only programs that call it
  /// pay for it.
  template <class View>
  static void run_integers(const View& view, Index panel, const InputView& in, float* out) noexcept {
    with_vector_bits(view.layout().bits, [&](auto bits) {
      if (in.digits == 1) return integers<bits, 1>(view, panel, in, out);
      integers<bits, 2>(view, panel, in, out);
    });
  }

 private:
  /// Where in its blocks of activations the walk over octets (8 columns) is.
  struct Place {
    const std::int8_t* high = nullptr;  ///< of the unit's first octet, if the block began before it
    const std::int8_t* low = nullptr;
    const float* rows = nullptr;  ///< a[16] of the group
    Index block = 0;
    Index in_group = 0;  ///< blocks left in the group, the current one included
    Index octets = 0;    ///< left in the block, the current one included
  };
  /// Octets of blocks: of a group's last, of the matrix's last, of the others.
  struct Lengths {
    Index last_of_group, last;
    Index last_block;
    explicit Lengths(const InputBlocks& blocks) noexcept
        : last_of_group(ceil_div(blocks.group_size - (blocks.per_group - 1) * kMaxBlockCols, 8)),
          last(ceil_div(blocks.col_count(blocks.count - 1), 8)),
          last_block(blocks.count - 1) {}
    [[nodiscard]] Index of(const Place& at) const noexcept {
      if (at.block == last_block) return last;
      return at.in_group == 1 ? last_of_group : kMaxBlockCols / 8;
    }
  };
  template <int XDigits>
  struct Sums {
    I block[std::size_t{kParts}][std::size_t{XDigits}][std::size_t{kChains}];
    F row[kParts];
  };

  template <int Bits, int XDigits>
  SINQ_TARGET static void integers(const RepackedView& view, Index panel, const InputView& in, float* out) noexcept {
    const auto table = S::template load_quad_table<Bits>(view.vector_levels());
    alignas(64) float a[kVectorSuperGroups * kPanelRows];
    const Lengths lengths(in.blocks);
    Place at;
    at.high = in.high;
    at.low = in.low;
    at.in_group = in.blocks.per_group;
    at.octets = lengths.of(at);
    Sums<XDigits> sums;
    clear(sums);
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) sums.row[p] = S::zero();
    for (PanelWalk walk(view, panel);; walk.next()) {
      start(walk, view.geometry().super_bytes, a);
      at.rows = a;
      const std::uint8_t* unit = walk.lines();
      // A super-block is whole units: its last group ends with the last of them, or with the matrix.
      const std::uint8_t* const end = reinterpret_cast<const std::uint8_t*>(walk.aux().scales);
      for (; unit != end;
           unit += (Bits + kVectorSignLines) * kLineBytes, at.high += kVectorUnitCols, at.low += kVectorUnitCols) {
        SINQ_UNROLL_VECTORS
        for (int l = 0; l < Bits + kVectorSignLines; ++l) UnitDecoder<SINQ_ISA>::fetch(unit + l * kLineBytes);
        if (octets<Bits, 0>(unit, table, in, lengths, at, sums)) {
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) S::store(out + p * S::kWidth, sums.row[p]);
          return;
        }
      }
    }
  }
  /// Decodes the super-block's scales and fetches the next one's, which lie too far ahead for the stream of lines.
  SINQ_INLINE void start(const PanelWalk& walk, Index stride, float* a) noexcept {
    const auto next = reinterpret_cast<std::uintptr_t>(walk.aux().scales) + static_cast<std::uintptr_t>(stride);
    for (Index i = 0; i < walk.aux_bytes(); i += kLineBytes) {
      S::prefetch_far(reinterpret_cast<const void*>(next + static_cast<std::uintptr_t>(i)));
    }
    PanelAffine<S::SimdTag>::run(walk.aux(), walk.groups(), {}, a, nullptr);
  }

  template <int XDigits>
  SINQ_INLINE void clear(Sums<XDigits>& sums) noexcept {
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      SINQ_UNROLL_VECTORS
      for (int d = 0; d < XDigits; ++d) {
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kChains; ++k) sums.block[p][d][k] = S::set1_index(0);
      }
    }
  }

  /// The unit's octets from `Octet` on; true if the last of them was the matrix's.
  template <int Bits, int Octet, class Table, int XDigits>
  SINQ_INLINE bool octets(const std::uint8_t* unit, const Table& table, const InputView& in, const Lengths& lengths,
                          Place& at, Sums<XDigits>& sums) noexcept {
    quad<Bits, 2 * Octet>(unit, table, at, sums);
    quad<Bits, 2 * Octet + 1>(unit, table, at, sums);
    if (--at.octets == 0 && end_block<Octet>(in, lengths, at, sums)) return true;
    if constexpr (Octet + 1 < kVectorUnitCols / 8) {
      return octets<Bits, Octet + 1>(unit, table, in, lengths, at, sums);
    } else {
      return false;
    }
  }
  template <int Bits, int Q, class Table, int XDigits>
  SINQ_INLINE void quad(const std::uint8_t* unit, const Table& table, const Place& at, Sums<XDigits>& sums) noexcept {
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      const std::uint8_t* const part = unit + p * S::kBytes;
      const B level = Decoder::template magnitudes<Bits, Q>(part, table);
      const B high = Decoder::template with_signs<Q>(part, S::broadcast4(at.high + 4 * Q));
      I(&sum)[std::size_t{XDigits}][std::size_t{kChains}] = sums.block[p];
      sum[0][Q % kChains] = S::template dot<127>(sum[0][Q % kChains], level, high);
      if constexpr (XDigits == 2) {
        const B low = Decoder::template with_signs<Q>(part, S::broadcast4(at.low + 4 * Q));
        sum[1][Q % kChains] = S::template dot<127>(sum[1][Q % kChains], level, low);
      }
    }
  }

  /// Adds a block's sums, which end with the unit's octet `Octet`, to the rows' and goes to the next block; true if
  /// there is none.
  template <int Octet, int XDigits>
  SINQ_INLINE bool end_block(const InputView& in, const Lengths& lengths, Place& at, Sums<XDigits>& sums) noexcept {
    const F scale = S::set1(in.scales[at.block]);
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      I whole = merge_chains(sums.block[p][0]);
      if constexpr (XDigits == 2) whole = S::add_index(S::template scale_up<7>(whole), merge_chains(sums.block[p][1]));
      const F dot = S::mul(S::to_float(whole), scale);
      sums.row[p] = S::fma(S::load(at.rows + p * S::kWidth), dot, sums.row[p]);
    }
    if (at.block == lengths.last_block) return true;
    clear(sums);
    ++at.block;
    // Blocks lie a stride apart, the unit's octets follow each other.
    at.high = in.high + at.block * in.blocks.stride - 8 * (Octet + 1);
    at.low = in.low + at.block * in.blocks.stride - 8 * (Octet + 1);
    if (--at.in_group == 0) {
      at.in_group = in.blocks.per_group;
      at.rows += kPanelRows;
    }
    at.octets = lengths.of(at);
    return false;
  }
  SINQ_INLINE I merge_chains(const I (&sums)[kChains]) noexcept {
    if constexpr (kChains == 1) return sums[0];
    return S::add_index(sums[0], sums[kChains - 1]);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
