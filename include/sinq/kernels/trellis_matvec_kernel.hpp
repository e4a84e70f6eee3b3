// Compiled once per instruction set by trellis_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// One panel of the lane trellis times one vector. Levels go through the first cache: there is a decoder for each rate
/// and a product for each precision, not one loop for each pair of them.
template <>
struct TrellisMatvec<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  using Tag = S::SimdTag;
  /// Vectors that hold one value for each of 16 rows, and so the vectors of a line.
  static constexpr int kParts = static_cast<int>(kPanelRows) / S::kWidth;
  /// Vectors of rows at once, and their sums: as many as registers hold.
  static constexpr int kAll = static_cast<int>(kTrellisRows) / S::kWidth;
  static constexpr int kSums = S::kTilePanels * S::kBatchTile * kParts;
  template <int Digits>
  static constexpr int kVectors = kSums / Digits < kAll ? kSums / Digits : kAll;

  /// out[kTrellisRows] = the panel's rows times `in` (a batch of one) of `Digits` digits, or floats (0): those with
  /// a Tag whose kSignedZero is 0. `source` has levels with kSignedZero added.
  template <int Digits>
  SINQ_TARGET static void run(const TrellisSource& source, Index panel, const InputView& in, float* out) noexcept {
    for (Index r = 0; r < kTrellisRows; ++r) out[r] = 0.0F;
    alignas(64) float scale[kTrellisRows];
    Index group = -1;
    for (Index block = 0; block < in.blocks.count; ++block) {
      if (in.blocks.group(block) != group) {
        group = in.blocks.group(block);
        source.scales<Tag>(panel, group, scale);
      }
      if constexpr (Digits == 0) {
        floats(source, panel, in, block, scale, out);
      } else {
        integers<Digits>(source, panel, in, block, scale, out);
      }
    }
  }

 private:
  template <int Digits>
  SINQ_TARGET static void integers(const TrellisSource& source, Index panel, const InputView& in, Index block,
                                   const float* scale, float* out) noexcept {
    alignas(64) std::int32_t sums[std::size_t{Digits}][kTrellisRows] = {};
    each_piece(source, panel, in.blocks, block, [&](const std::uint8_t* levels, Index col, Index quads) {
      add_products<Digits>(levels, quads, in.high + col, in.low + col, sums);
    });
    const F unit = S::set1(in.scales[block]);
    const F zero = S::set1(static_cast<float>(-S::kSignedZero) * in.sums[block]);
    for (Index r = 0; r < kTrellisRows; r += S::kWidth) {
      I whole = S::load_sums(sums[0] + r);
      if constexpr (Digits == 2) whole = S::add_index(S::template scale_up<7>(whole), S::load_sums(sums[1] + r));
      const F dot = S::fma(S::to_float(whole), unit, zero);
      S::store(out + r, S::fma(S::load(scale + r), dot, S::load(out + r)));
    }
  }
  SINQ_TARGET static void floats(const TrellisSource& source, Index panel, const InputView& in, Index block,
                                 const float* scale, float* out) noexcept {
    alignas(64) float sums[kTrellisRows] = {};
    each_piece(source, panel, in.blocks, block, [&](const std::uint8_t* levels, Index col, Index quads) {
      add_products(levels, quads, in.values + col, sums);
    });
    for (Index r = 0; r < kTrellisRows; r += S::kWidth) {
      S::store(out + r, S::fma(S::load(scale + r), S::load(sums + r), S::load(out + r)));
    }
  }

  /// Calls f(levels, where its activations start, quads) for pieces of a block of activations.
  template <class Function>
  static void each_piece(const TrellisSource& source, Index panel, const InputBlocks& blocks, Index block,
                         Function f) noexcept {
    alignas(64) std::uint8_t levels[kTrellisPieceCols * kTrellisRows];
    const Index first = blocks.first_col(block), cols = blocks.col_count(block);
    for (Index col = 0; col < cols; col += kTrellisPieceCols) {
      const Index count = std::min(cols - col, kTrellisPieceCols);
      source.decode<Tag>(panel, first + col, count, levels);
      f(levels, block * blocks.stride + col, ceil_div(count, 4));
    }
  }

  template <int Digits>
  SINQ_TARGET static void add_products(const std::uint8_t* levels, Index quads, const std::int8_t* high,
                                       const std::int8_t* low,
                                       std::int32_t (&sums)[std::size_t{Digits}][kTrellisRows]) noexcept {
    constexpr int kCount = kVectors<Digits>;
    for (Index r = 0; r < kTrellisRows; r += kCount * S::kWidth) {
      I sum[std::size_t{Digits}][std::size_t{kCount}];
      SINQ_UNROLL_VECTORS
      for (int v = 0; v < kCount; ++v) {
        SINQ_UNROLL_VECTORS
        for (int d = 0; d < Digits; ++d) sum[d][v] = S::load_sums(sums[d] + r + v * S::kWidth);
      }
      const std::uint8_t* from = levels + r * 4;
      for (Index q = 0; q < quads; ++q, from += kTrellisQuadLevels) {
        const B x_high = S::broadcast4(high + 4 * q);
        const B x_low = Digits == 2 ? S::broadcast4(low + 4 * q) : x_high;
        SINQ_UNROLL_VECTORS
        for (int v = 0; v < kCount; ++v) {
          const B level = S::load_bytes(from + v * S::kBytes);
          sum[0][v] = S::dot_signed(sum[0][v], level, x_high);
          if constexpr (Digits == 2) sum[1][v] = S::dot_signed(sum[1][v], level, x_low);
        }
      }
      SINQ_UNROLL_VECTORS
      for (int v = 0; v < kCount; ++v) {
        SINQ_UNROLL_VECTORS
        for (int d = 0; d < Digits; ++d) S::store_sums(sums[d] + r + v * S::kWidth, sum[d][v]);
      }
    }
  }
  SINQ_TARGET static void add_products(const std::uint8_t* levels, Index quads, const float* x, float* sums) noexcept {
    constexpr int kCount = kVectors<1>;
    for (Index r = 0; r < kTrellisRows; r += kCount * S::kWidth) {
      F sum[std::size_t{kCount}];
      SINQ_UNROLL_VECTORS
      for (int v = 0; v < kCount; ++v) sum[v] = S::load(sums + r + v * S::kWidth);
      const std::uint8_t* from = levels + r * 4;
      for (Index q = 0; q < quads; ++q, from += kTrellisQuadLevels) {
        SINQ_UNROLL_VECTORS
        for (int v = 0; v < kCount; ++v) {
          const B level = S::load_bytes(from + v * S::kBytes);
          sum[v] = S::fma(weight<0>(level), S::set1(x[4 * q]), sum[v]);
          sum[v] = S::fma(weight<1>(level), S::set1(x[4 * q + 1]), sum[v]);
          sum[v] = S::fma(weight<2>(level), S::set1(x[4 * q + 2]), sum[v]);
          sum[v] = S::fma(weight<3>(level), S::set1(x[4 * q + 3]), sum[v]);
        }
      }
      SINQ_UNROLL_VECTORS
      for (int v = 0; v < kCount; ++v) S::store(sums + r + v * S::kWidth, sum[v]);
    }
  }
  template <int J>
  SINQ_INLINE F weight(B levels) noexcept {
    return S::to_float(S::template signed_byte_of_lane<J>(levels));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
