// Compiled once per instruction set by trellis_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// One panel of the lane trellis times one vector. Levels go through the first cache: there is a decoder for each rate
/// and a product for each precision, not one loop for each pair of them. Only int8 with AVX2 has such loops.
template <>
struct TrellisMatvec<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  using Tag = S::SimdTag;
  /// Vectors that hold one value for each of 16 rows, and so the vectors of a line.
  static constexpr int kParts = static_cast<int>(kPanelRows) / S::kWidth;
  static constexpr int kStepsPerQuad = static_cast<int>(TrellisGeometry::kStepsPerQuad);
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
    const Multiply multiply = multiply_of<Digits>(source.geometry().quarter_bits);
    alignas(64) float scale[kTrellisRows];
    for_each_trellis_block(in.blocks, [&](Index group, Index block, Index first, Index count) {
      if (first == group * in.blocks.group_size) source.template scales<Tag>(panel, group, scale);
      multiply(source.lines(panel, first, count), source.lookup(), in, block, scale, out);
    });
  }

 private:
  /// out += scale * (the dot products of a block of activations with the levels of `lines`).
  using Multiply = void (*)(const TrellisLines& lines, const TrellisLookup& tables, const InputView& in, Index block,
                            const float* scale, float* out);
  template <int Digits>
  static Multiply multiply_of(int quarter_bits) noexcept {
    if constexpr (Digits == 0) {
      return &floats<Digits>;
    } else if constexpr (Digits == 1 && S::kDotsWhileDecoding) {
      return with_quarter_bits(quarter_bits, [](auto bits) -> Multiply { return &integers_at_once<bits>; });
    } else {
      return &integers<Digits>;
    }
  }

  template <int Digits>
  SINQ_TARGET static void integers(const TrellisLines& lines, const TrellisLookup& tables, const InputView& in,
                                   Index block, const float* scale, float* out) noexcept {
    alignas(64) std::int32_t sums[std::size_t{Digits}][kTrellisRows] = {};
    const Index x = block * in.blocks.stride;
    each_piece(lines, tables, [&](const std::uint8_t* levels, Index col, Index quads) {
      add_products<Digits>(levels, quads, in.high + x + col, in.low + x + col, sums);
    });
    finish<Digits>(sums, in, block, scale, out);
  }
  template <int QuarterBits, class Decoder = TrellisDecoder<Tag>>
  SINQ_TARGET static void integers_at_once(const TrellisLines& lines, const TrellisLookup& tables, const InputView& in,
                                           Index block, const float* scale, float* out) noexcept {
    alignas(64) std::int32_t sums[1][kTrellisRows];
    for (Index part = 0; part < kParts; ++part) {
      Dots dots;
      dots.x = in.high + block * in.blocks.stride;
      SINQ_UNROLL_VECTORS
      for (int i = 0; i < kStepsPerQuad; ++i) dots.sum[i] = S::set1_index(0);
      Decoder::template walk<QuarterBits>(lines, part * S::kBytes, tables, dots);
      SINQ_UNROLL_VECTORS
      for (int i = 0; i < kStepsPerQuad; ++i) S::store_sums(sums[0] + i * kPanelRows + part * S::kWidth, dots.sum[i]);
    }
    finish<1>(sums, in, block, scale, out);
  }
  template <int Digits>
  SINQ_TARGET static void finish(const std::int32_t (&sums)[std::size_t{Digits}][kTrellisRows], const InputView& in,
                                 Index block, const float* scale, float* out) noexcept {
    const F unit = S::set1(in.scales[block]);
    const F zero = S::set1(static_cast<float>(-S::kSignedZero) * in.sums[block]);
    for (Index r = 0; r < kTrellisRows; r += S::kWidth) {
      I whole = S::load_sums(sums[0] + r);
      if constexpr (Digits == 2) whole = S::add_index(S::template scale_up<7>(whole), S::load_sums(sums[1] + r));
      const F dot = S::fma(S::to_float(whole), unit, zero);
      S::store(out + r, S::fma(S::load(scale + r), dot, S::load(out + r)));
    }
  }
  template <int Digits>
  SINQ_TARGET static void floats(const TrellisLines& lines, const TrellisLookup& tables, const InputView& in,
                                 Index block, const float* scale, float* out) noexcept {
    alignas(64) float sums[kTrellisRows] = {};
    const float* const x = in.values + block * in.blocks.stride;
    each_piece(lines, tables,
               [&](const std::uint8_t* levels, Index col, Index quads) { add_products(levels, quads, x + col, sums); });
    for (Index r = 0; r < kTrellisRows; r += S::kWidth) {
      S::store(out + r, S::fma(S::load(scale + r), S::load(sums + r), S::load(out + r)));
    }
  }

  /// Calls f(levels, first column, quads) for pieces of `lines`. Columns behind a block's last meet activations that
  /// are zero.
  template <class Function>
  static void each_piece(const TrellisLines& lines, const TrellisLookup& tables, Function f) noexcept {
    alignas(64) std::uint8_t levels[kTrellisPieceCols * kTrellisRows];
    for (Index step = 0; step < lines.steps; step += kTrellisPieceSteps) {
      const TrellisLines piece = lines.part(step, std::min(lines.steps - step, kTrellisPieceSteps));
      TrellisDecoder<Tag>::run(piece, tables, levels);
      f(levels, step / kStepsPerQuad * 4, piece.steps / kStepsPerQuad);
    }
  }

  /// What becomes of levels that are multiplied at once.
  struct Dots {
    I sum[kStepsPerQuad];
    const std::int8_t* x;

    template <int Step>
    SINQ_INLINE void take(Dots& dots, B level) noexcept {
      I& sum = dots.sum[Step % kStepsPerQuad];
      sum = S::dot_signed(sum, level, S::broadcast4(dots.x + Step / kStepsPerQuad * 4));
    }
    template <int Steps>
    SINQ_INLINE void advance(Dots& dots) noexcept {
      dots.x += Steps / kStepsPerQuad * 4;
    }
  };
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
