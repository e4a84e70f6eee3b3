// Compiled once per instruction set by trellis_matmul.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// One panel of the lane trellis times a batch: levels are decoded into the cache and multiplied with all activations.
template <>
struct TrellisMatmul<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using B = S::B;
  using Tag = S::SimdTag;
  using Tiles = TileMultiply<SINQ_ISA>;
  /// Activations whose results one call keeps, in half a first cache.
  static constexpr Index kMaxBatch = 32;

  /// out[count][kTrellisRows] = the panel's rows times activations first..first + count of the batch (at most
  /// kMaxBatch): integers, or floats with a Tag whose kSignedZero is 0. `source` has levels with kSignedZero added.
  template <bool AreFloats>
  SINQ_TARGET static void run(const TrellisSource& source, Index panel, const InputView& in, Index first, Index count,
                              float* out) noexcept {
    for (Index i = 0; i < count * kTrellisRows; ++i) out[i] = 0.0F;
    alignas(64) float scale[kTrellisRows], zero[kTrellisRows];
    alignas(64) constexpr float kNone[kTrellisRows] = {};
    for_each_trellis_block(in.blocks, [&](Index group, Index block, Index first_col, Index cols) {
      if (first_col == group * in.blocks.group_size) {
        source.scales<Tag>(panel, group, scale);
        for (Index r = 0; r < kTrellisRows; ++r) zero[r] = scale[r] * static_cast<float>(-S::kSignedZero);
      }
      alignas(64) std::uint8_t levels[kTrellisPieceCols * kTrellisRows];
      for (Index col = 0; col < cols; col += kTrellisPieceCols) {
        const Index n = std::min(cols - col, kTrellisPieceCols);
        TrellisDecoder<Tag>::run(source.lines(panel, first_col + col, n), source.lookup(), levels);
        for (Index r = 0; r < kTrellisRows; r += Tiles::kRows) {
          if constexpr (AreFloats) {
            const float* const x = in.values + (block * in.blocks.stride + col) * in.batch + first;
            floats<S::kBatchTile>(levels + 4 * r, n, x, in.batch, count, scale + r, out + r);
          } else {
            typename Tiles::Tile tile{{}, Tiles::kPanels, kTrellisQuadLevels, col / 4, ceil_div(n, 4)};
            for (int p = 0; p < Tiles::kPanels; ++p) tile.codes[p] = levels + 4 * r + p * kLineBytes;
            // The sum of a block's activations enters once.
            const float* const b = (col == 0 ? zero : kNone) + r;
            Tiles::template each_tile<Tiles::kSigned, S::kBatchTile>(tile, in, block, first, count, scale + r, b,
                                                                     out + r, kTrellisRows);
          }
        }
      }
    });
  }

 private:
  /// Rows of one tile.
  template <int Batch>
  SINQ_TARGET static void floats(const std::uint8_t* levels, Index cols, const float* x, Index batch, Index count,
                                 const float* scale, float* out) noexcept {
    alignas(64) float weights[kTrellisPieceCols * Tiles::kRows];
    for (Index r = 0; r < Tiles::kRows; r += S::kWidth) {
      const F a = S::load(scale + r);
      const std::uint8_t* from = levels + 4 * r;
      for (Index c = 0; c < cols; c += 4, from += kTrellisQuadLevels) {
        const B quad = S::load_bytes(from);
        float* const to = weights + c * Tiles::kRows + r;
        S::store(to, weight<0>(quad, a));
        S::store(to + Tiles::kRows, weight<1>(quad, a));
        S::store(to + 2 * Tiles::kRows, weight<2>(quad, a));
        S::store(to + 3 * Tiles::kRows, weight<3>(quad, a));
      }
    }
    Tiles::template each_float_tile<Batch>(weights, Tiles::kPanels, cols, x, batch, count, out, kTrellisRows);
  }
  template <int J>
  SINQ_INLINE F weight(B levels, F scale) noexcept {
    return S::mul(S::to_float(S::template signed_byte_of_lane<J>(levels)), scale);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
