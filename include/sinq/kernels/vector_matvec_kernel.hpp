// Compiled once per instruction set by vector_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::detail {

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
    const std::int8_t* high = nullptr;  ///< of the unit's first octet, if no block ends before the current one
    const std::int8_t* low = nullptr;
    const float* scale = nullptr;  ///< of the block's activations
    const float* rows = nullptr;   ///< a[16] of the group
    Index octets = 0;              ///< of the block that are left, the current one included
    Index padding = 0;             ///< bytes between the block's last octet and the next block
    Index left_in_group = 0;       ///< octets behind the block
    Index left = 0;                ///< octets behind the group
  };
  template <int XDigits>
  struct Sums {
    I block[kParts][XDigits][kChains];
    F row[kParts];
  };

  template <int Bits, int XDigits>
  SINQ_TARGET static void integers(const RepackedView& view, Index panel, const InputView& in, float* out) noexcept {
    const auto table = S::template load_quad_table<Bits>(view.vector_levels());
    alignas(64) float a[kVectorSuperGroups * kPanelRows], b[kVectorSuperGroups * kPanelRows];
    Place at;
    at.high = in.high;
    at.low = in.low;
    at.scale = in.scales;
    at.left = ceil_div(in.blocks.cols, 8);
    start_group(in.blocks, at);
    Sums<XDigits> sums;
    clear(sums);
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) sums.row[p] = S::zero();
    for (PanelWalk walk(view, panel);; walk.next()) {
      start(walk, view.geometry().super_bytes, a, b);
      at.rows = a;
      const std::uint8_t* unit = walk.lines();
      // A super-block is whole units: its last group ends with the last of them, or with the matrix.
      const std::uint8_t* const end = reinterpret_cast<const std::uint8_t*>(walk.aux().scales);
      for (; unit != end;
           unit += (Bits + kVectorSignLines) * kLineBytes, at.high += kVectorUnitCols, at.low += kVectorUnitCols) {
        SINQ_UNROLL_VECTORS
        for (int l = 0; l < Bits + kVectorSignLines; ++l) UnitDecoder<SINQ_ISA>::fetch(unit + l * kLineBytes);
        if (octets<Bits, 0>(unit, table, in, at, sums)) {
          SINQ_UNROLL_VECTORS
          for (int p = 0; p < kParts; ++p) S::store(out + p * S::kWidth, sums.row[p]);
          return;
        }
      }
    }
  }
  /// Decodes the super-block's scales and fetches the next one's, which lie too far ahead for the stream of lines.
  SINQ_INLINE void start(const PanelWalk& walk, Index stride, float* a, float* b) noexcept {
    const auto next = reinterpret_cast<std::uintptr_t>(walk.aux().scales) + static_cast<std::uintptr_t>(stride);
    for (Index i = 0; i < walk.aux_bytes(); i += kLineBytes) {
      S::prefetch_far(reinterpret_cast<const void*>(next + static_cast<std::uintptr_t>(i)));
    }
    PanelAffine<SINQ_ISA>::run(walk.aux(), walk.groups(), {}, a, b);
  }

  SINQ_INLINE void start_group(const InputBlocks& blocks, Place& at) noexcept {
    const Index octets = ceil_div(blocks.group_size, 8);
    at.left_in_group = octets < at.left ? octets : at.left;
    at.left -= at.left_in_group;
    start_block(blocks, at);
  }
  SINQ_INLINE void start_block(const InputBlocks& blocks, Place& at) noexcept {
    constexpr Index kMax = kMaxBlockCols / 8;
    at.octets = at.left_in_group < kMax ? at.left_in_group : kMax;
    at.left_in_group -= at.octets;
    at.padding = blocks.stride - 8 * at.octets;
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
  SINQ_INLINE bool octets(const std::uint8_t* unit, const Table& table, const InputView& in, Place& at,
                          Sums<XDigits>& sums) noexcept {
    quad<Bits, 2 * Octet>(unit, table, at, sums);
    quad<Bits, 2 * Octet + 1>(unit, table, at, sums);
    if (--at.octets == 0 && end_block(in, at, sums)) return true;
    if constexpr (Octet + 1 < kVectorUnitCols / 8) {
      return octets<Bits, Octet + 1>(unit, table, in, at, sums);
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
      I(&sum)[XDigits][kChains] = sums.block[p];
      sum[0][Q % kChains] = S::template dot<127>(sum[0][Q % kChains], level, high);
      if constexpr (XDigits == 2) {
        const B low = Decoder::template with_signs<Q>(part, S::broadcast4(at.low + 4 * Q));
        sum[1][Q % kChains] = S::template dot<127>(sum[1][Q % kChains], level, low);
      }
    }
  }

  /// Adds a block's sums to the rows' and goes to the next block; true if there is none.
  template <int XDigits>
  SINQ_INLINE bool end_block(const InputView& in, Place& at, Sums<XDigits>& sums) noexcept {
    const F scale = S::set1(*at.scale);
    SINQ_UNROLL_VECTORS
    for (int p = 0; p < kParts; ++p) {
      I whole = merge_chains(sums.block[p][0]);
      if constexpr (XDigits == 2) whole = S::add_index(S::template scale_up<7>(whole), merge_chains(sums.block[p][1]));
      const F dot = S::mul(S::to_float(whole), scale);
      sums.row[p] = S::fma(S::load(at.rows + p * S::kWidth), dot, sums.row[p]);
    }
    clear(sums);
    ++at.scale;
    at.high += at.padding;
    at.low += at.padding;
    if (at.left_in_group != 0) {
      start_block(in.blocks, at);
    } else {
      at.rows += kPanelRows;
      start_group(in.blocks, at);
    }
    return at.octets == 0;
  }
  SINQ_INLINE I merge_chains(const I (&sums)[kChains]) noexcept {
    if constexpr (kChains == 1) return sums[0];
    return S::add_index(sums[0], sums[kChains - 1]);
  }
};

}  // namespace sinq::detail

#endif
