// Compiled once per instruction set by tile.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// A few rows times a batch: each block is decoded once into the cache and multiplied with all activations.
template <>
struct TileMultiply<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  using Decoder = TileDecoder<SINQ_ISA>;
  static constexpr int kPanels = S::kTilePanels;
  static constexpr Index kRows = kPanels * kPanelRows;
  /// Vectors that hold one value for each row of a panel.
  static constexpr int kParts = static_cast<int>(kPanelRows) / S::kWidth;
  /// Activations whose results one call keeps.
  static constexpr Index kMaxBatch = 128;
  /// Columns of float weights that are kept at once.
  static constexpr Index kFloatCols = 64;

  /// Codes of a block of columns, one byte each, that all activations of a batch meet.
  struct Tile {
    const std::uint8_t* codes[kPanels] = {};
    int panels = 0;        ///< of them
    Index quad_bytes = 0;  ///< from the 16 dwords of one quad of columns to the next
    Index first_quad = 0;  ///< of the block's
    Index quads = 0;
  };
  /// Stands for the largest code where codes are levels, as `Dot::dot_signed` takes them.
  static constexpr int kSigned = -1;

  /// `Batch` activations meet a decoded tile at once, as long as that many are left: S::kBatchTile, or 1 where one is
  /// all there is.
  /// out[count][kRows] = rows of `panels` (at most kPanels) panels from `panel` on, times activations first..first +
  /// count of the batch (at most kMaxBatch).
  template <int Batch, class View>
  SINQ_TARGET static void run(const View& view, Index panel, int panels, const InputView& in, Index first, Index count,
                              const Levels& levels, float* out) noexcept {
    for (Index i = 0; i < count * kRows; ++i) out[i] = 0.0F;
    alignas(64) float a[kRows], b[kRows];
    const TileFormat format(view.layout(), levels.table);
    Index group = -1;
    for (Index block = 0; block < in.blocks.count; ++block) {
      if (in.blocks.group(block) != group) {
        group = in.blocks.group(block);
        for (int p = 0; p < panels; ++p) {
          PaddedAux padded;
          PanelAffine<S::SimdTag>::run(readable_aux(view, panel + p, group, padded), 1, format.affine,
                                       a + p * kPanelRows, b + p * kPanelRows);
        }
      }
      alignas(64) std::uint8_t tile[kPanels][kTileBytes];
      Tile codes{{}, panels, kLineBytes, 0, ceil_div(in.blocks.col_count(block), 4)};
      for (int p = 0; p < panels; ++p) codes.codes[p] = Decoder::codes(view, panel + p, in.blocks, block, tile[p]);
      if (in.digits == 0) {
        floats<Batch>(codes, format.entries, in, block, first, count, levels, a, b, out);
      } else {
        integers<Batch>(codes, format, in, block, first, count, levels, a, b, out);
      }
    }
  }

  /// out[count][out_stride] += a * (the tile's dot product with integers) + b * (the block's sum of them), of one block
  /// of activations; out, a and b start with the tile's first row.
  template <int Largest, int Batch>
  SINQ_TARGET static void each_tile(const Tile& tile, const InputView& in, Index block, Index first, Index count,
                                    const float* a, const float* b, float* out, Index out_stride) noexcept {
    Index i = 0;
    for (; i + Batch <= count; i += Batch) {
      batch_tile<Largest, Batch>(tile, in, block, first + i, a, b, out + i * out_stride, out_stride);
    }
    for (; i < count; ++i) {
      batch_tile<Largest, 1>(tile, in, block, first + i, a, b, out + i * out_stride, out_stride);
    }
  }
  /// out[count][out_stride] += weights [cols][kRows] times floats `x` [cols][batch].
  template <int Batch>
  SINQ_TARGET static void each_float_tile(const float* weights, int panels, Index cols, const float* x, Index batch,
                                          Index count, float* out, Index out_stride) noexcept {
    Index i = 0;
    for (; i + Batch <= count; i += Batch) {
      float_batch_tile<Batch>(weights, panels, cols, x + i, batch, out + i * out_stride, out_stride);
    }
    for (; i < count; ++i) {
      float_batch_tile<1>(weights, panels, cols, x + i, batch, out + i * out_stride, out_stride);
    }
  }

 private:
  template <int Batch>
  SINQ_TARGET static void integers(const Tile& codes, const TileFormat& format, const InputView& in, Index block,
                                   Index first, Index count, const Levels& levels, const float* a, const float* b,
                                   float* out) noexcept {
    const int digits = levels.table.digits;
    // Entries of a table never exceed kMaxCode.
    constexpr int kNarrow = S::kMaxCode;
    if (digits == 0) {
      if (format.is_wide) return each_tile<255, Batch>(codes, in, block, first, count, a, b, out, kRows);
      return each_tile<kNarrow, Batch>(codes, in, block, first, count, a, b, out, kRows);
    }
    alignas(64) std::uint8_t found[kPanels][kMaxBlockCols * kPanelRows];
    Tile entries = codes;
    alignas(64) float scale[kRows];
    alignas(64) float none[kRows] = {};
    for (int d = 0; d < digits; ++d) {
      const std::uint8_t* table = d == 0 ? levels.table.high : levels.table.low;
      for (int p = 0; p < codes.panels; ++p) {
        entries.codes[p] = found[p];
        Decoder::look_up(codes.codes[p], codes.quads, table, format.entries, found[p]);
      }
      const float weight = digits == 2 && d == 0 ? 128.0F : 1.0F;
      for (Index r = 0; r < kRows; ++r) scale[r] = r < codes.panels * kPanelRows ? a[r] * weight : 0.0F;
      each_tile<kNarrow, Batch>(entries, in, block, first, count, scale, d == 0 ? b : none, out, kRows);
    }
  }

  template <int Largest, int Batch>
  SINQ_TARGET static void batch_tile(const Tile& tile, const InputView& in, Index block, Index at, const float* a,
                                     const float* b, float* out, Index out_stride) noexcept {
    if constexpr (kPanels > 1) {
      if (tile.panels > 1) return dot_tile<Largest, kPanels, Batch>(tile, in, block, at, a, b, out, out_stride);
    }
    dot_tile<Largest, 1, Batch>(tile, in, block, at, a, b, out, out_stride);
  }
  template <int Largest>
  SINQ_INLINE I dot(I sum, B codes, B x) noexcept {
    if constexpr (Largest == kSigned) {
      return S::dot_signed(sum, codes, x);
    } else {
      return S::template dot<Largest>(sum, codes, x);
    }
  }

  /// Panels x 16 rows times Batch activations: as many sums as registers hold.
  template <int Largest, int Panels, int Batch>
  SINQ_TARGET static void dot_tile(const Tile& tile, const InputView& in, Index block, Index at, const float* a,
                                   const float* b, float* out, Index out_stride) noexcept {
    I sum[std::size_t{Panels * kParts}][std::size_t{Batch}];
    SINQ_UNROLL_VECTORS
    for (int v = 0; v < Panels * kParts; ++v) {
      SINQ_UNROLL_VECTORS
      for (int j = 0; j < Batch; ++j) sum[v][j] = S::set1_index(0);
    }
    for (int d = 0; d < in.digits; ++d) {
      if (d == 1) {
        SINQ_UNROLL_VECTORS
        for (int v = 0; v < Panels * kParts; ++v) {
          SINQ_UNROLL_VECTORS
          for (int j = 0; j < Batch; ++j) sum[v][j] = S::template scale_up<7>(sum[v][j]);
        }
      }
      const std::int8_t* x = in.digit(d, block) + (tile.first_quad * in.batch + at) * 4;
      for (Index q = 0; q < tile.quads; ++q, x += in.batch * 4) {
        B w[std::size_t{Panels * kParts}];
        SINQ_UNROLL_VECTORS
        for (int v = 0; v < Panels * kParts; ++v) {
          w[v] = S::load_bytes(tile.codes[v / kParts] + q * tile.quad_bytes + v % kParts * S::kBytes);
        }
        SINQ_UNROLL_VECTORS
        for (int j = 0; j < Batch; ++j) {
          const B xj = S::broadcast4(x + 4 * j);
          SINQ_UNROLL_VECTORS
          for (int v = 0; v < Panels * kParts; ++v) sum[v][j] = dot<Largest>(sum[v][j], w[v], xj);
        }
      }
    }
    const float* const scale = in.scales + block * in.batch + at;
    const float* const total = in.sums + block * in.batch + at;
    SINQ_UNROLL_VECTORS
    for (int v = 0; v < Panels * kParts; ++v) {
      const F av = S::load(a + v * S::kWidth);
      const F bv = S::load(b + v * S::kWidth);
      SINQ_UNROLL_VECTORS
      for (int j = 0; j < Batch; ++j) {
        float* const to = out + j * out_stride + v * S::kWidth;
        const F dot = S::mul(S::to_float(sum[v][j]), S::set1(scale[j]));
        S::store(to, S::fma(av, dot, S::fma(bv, S::set1(total[j]), S::load(to))));
      }
    }
  }

  template <int Batch>
  SINQ_TARGET static void floats(const Tile& codes, Index entries, const InputView& in, Index block, Index first,
                                 Index count, const Levels& levels, const float* a, const float* b,
                                 float* out) noexcept {
    alignas(64) float weights[kFloatCols * kRows];
    const Index cols = in.blocks.col_count(block);
    for (Index c = 0; c < cols; c += kFloatCols) {
      const Index n = cols - c < kFloatCols ? cols - c : kFloatCols;
      for (int p = 0; p < codes.panels; ++p) {
        Decoder::weights(codes.codes[p] + c / 4 * kLineBytes, ceil_div(n, 4), levels, entries, a + p * kPanelRows,
                         b + p * kPanelRows, kRows, weights + p * kPanelRows);
      }
      const float* x = in.values + (block * in.blocks.stride + c) * in.batch + first;
      each_float_tile<Batch>(weights, codes.panels, n, x, in.batch, count, out, kRows);
    }
  }
  template <int Batch>
  SINQ_TARGET static void float_batch_tile(const float* weights, int panels, Index cols, const float* x, Index batch,
                                           float* out, Index out_stride) noexcept {
    if constexpr (kPanels > 1) {
      if (panels > 1) return float_tile<kPanels, Batch>(weights, cols, x, batch, out, out_stride);
    }
    float_tile<1, Batch>(weights, cols, x, batch, out, out_stride);
  }
  template <int Panels, int Batch>
  SINQ_TARGET static void float_tile(const float* weights, Index cols, const float* x, Index batch, float* out,
                                     Index out_stride) noexcept {
    F sum[std::size_t{Panels * kParts}][std::size_t{Batch}];
    SINQ_UNROLL_VECTORS
    for (int v = 0; v < Panels * kParts; ++v) {
      SINQ_UNROLL_VECTORS
      for (int j = 0; j < Batch; ++j) sum[v][j] = S::load(out + j * out_stride + v * S::kWidth);
    }
    for (Index c = 0; c < cols; ++c, weights += kRows, x += batch) {
      F w[std::size_t{Panels * kParts}];
      SINQ_UNROLL_VECTORS
      for (int v = 0; v < Panels * kParts; ++v) w[v] = S::load(weights + v * S::kWidth);
      SINQ_UNROLL_VECTORS
      for (int j = 0; j < Batch; ++j) {
        const F xj = S::set1(x[j]);
        SINQ_UNROLL_VECTORS
        for (int v = 0; v < Panels * kParts; ++v) sum[v][j] = S::fma(w[v], xj, sum[v][j]);
      }
    }
    SINQ_UNROLL_VECTORS
    for (int v = 0; v < Panels * kParts; ++v) {
      SINQ_UNROLL_VECTORS
      for (int j = 0; j < Batch; ++j) S::store(out + j * out_stride + v * S::kWidth, sum[v][j]);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
