// Compiled once per instruction set by row_matvec.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Rows of a row-major matrix times one vector, straight from their bit streams: vectors run along a row, a block's
/// dot product stays spread over the lanes, and lanes are added up once per row.
template <>
struct RowMatvec<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using I = S::I;
  using B = S::B;
  /// Blocks whose factors are kept at once for the 16 rows.
  static constexpr Index kChunk = 64;
  /// Rows that share the loads of activations, and whose sums wait for each other less.
  static constexpr int kTogether = 4;
  static constexpr Index kAhead = 512;

  /// out[rows.size()] = stored rows `rows`, which lie in one panel, times `in` (a batch of one, integers).
  template <class View>
  static void run_integers(const View& view, RowRange rows, const InputView& in, const Levels& levels,
                           float* out) noexcept {
    const int bits = view.layout().bits;
    if (levels.values != nullptr) {
      return bits == 4 ? with_digits<4, true>(view, rows, in, levels, out)
                       : with_digits<0, true>(view, rows, in, levels, out);
    }
    if (bits == 4) return with_digits<4, false>(view, rows, in, levels, out);
    if (bits == 8) return with_digits<8, false>(view, rows, in, levels, out);
    with_digits<0, false>(view, rows, in, levels, out);
  }

  /// As above, of float32 activations.
  template <class View>
  static void run_floats(const View& view, RowRange rows, const InputView& in, const Levels& levels,
                         float* out) noexcept {
    return view.layout().bits == 4 ? floats<4>(view, rows, in, levels, out) : floats<0>(view, rows, in, levels, out);
  }

 private:
  /// Bits are 4 or 8, which unpack in their own way, or 0, which stands for all widths.
  template <int Bits, bool HasLevels>
  static void with_digits(const QuantizedView& view, RowRange rows, const InputView& in, const Levels& levels,
                          float* out) noexcept {
    if (in.digits == 1) return integers<Bits, HasLevels, 1>(view, rows, in, levels, out);
    integers<Bits, HasLevels, 2>(view, rows, in, levels, out);
  }

  /// What a pass over the rows of a panel needs to know about a block.
  struct BlockPlace {
    Index offset = 0;  ///< of its codes from the row's first byte
    Index left = 0;    ///< bytes from there to the end of the row
    Index cols = 0;
    Index x = 0;  ///< of its activations from the first one
  };
  /// Up to kChunk blocks.
  struct Chunk {
    alignas(64) float a[kChunk * kPanelRows];  ///< [block][16]: factors of the dot products
    BlockPlace place[kChunk];
    Index count = 0;
  };

  /// Prepares blocks from `first` on, and adds the offsets' part of them to y [16].
  SINQ_TARGET static void prepare(const QuantizedView& view, Index panel, const InputView& in, Index first,
                                  LevelAffine affine, Chunk& chunk, float* y) noexcept {
    chunk.count = in.blocks.count - first < kChunk ? in.blocks.count - first : kChunk;
    alignas(64) float b[kChunk * kPanelRows];
    const bool is_whole = panel_row_count(view.layout().rows, panel) == kPanelRows;
    if (is_whole && in.blocks.per_group == 1) {
      const PanelAux aux = panel_aux(view, panel, first);
      PanelAffine<S::SimdTag>::run(aux, chunk.count, affine, chunk.a, b);
      // Two panels share a cache line of f16 aux, whose next one is far away.
      for (Index i = 0; i < chunk.count; ++i) {
        S::prefetch(aux.scales + i * aux.value_stride + kLineBytes);
        if (aux.offset != OffsetKind::kShared) S::prefetch(aux.offsets + i * aux.value_stride + kLineBytes);
      }
    } else {
      for (Index i = 0; i < chunk.count; ++i) {
        PaddedAux padded;
        const PanelAux aux = readable_aux(view, panel, in.blocks.group(first + i), padded);
        PanelAffine<S::SimdTag>::run(aux, 1, affine, chunk.a + i * kPanelRows, b + i * kPanelRows);
      }
    }
    for (Index i = 0; i < chunk.count; ++i) {
      const Index block = first + i;
      const Index col = in.blocks.first_col(block);
      chunk.place[i] = {ScalarCodes(view.layout()).bytes_before(col), codes_left(view, col), in.blocks.col_count(block),
                        block * in.blocks.stride};
      const F scale = S::set1(in.digits == 0 ? 1.0F : in.scales[block]);
      const F total = S::set1(in.sums[block]);
      for (Index r = 0; r < kPanelRows; r += S::kWidth) {
        float* const a = chunk.a + i * kPanelRows + r;
        S::store(a, S::mul(S::load(a), scale));
        S::store(y + r, S::fma(S::load(b + i * kPanelRows + r), total, S::load(y + r)));
      }
    }
  }
  /// Fetches what follows in the row, and into the second cache the same place of the rows that come after these.
  SINQ_INLINE void fetch(const std::uint8_t* codes, Index row_bytes) noexcept {
    // Addresses, not pointers into the matrix: they may lie behind its end.
    const auto address = reinterpret_cast<std::uintptr_t>(codes);
    S::prefetch(reinterpret_cast<const void*>(address + kAhead));
    S::prefetch_far(reinterpret_cast<const void*>(address + static_cast<std::uintptr_t>(kTogether * row_bytes)));
  }

  /// kTogether rows from `row` on, or the last one several times.
  struct Rows {
    const std::uint8_t* codes[kTogether];
    Index lane[kTogether];

    Rows(const QuantizedView& view, RowRange rows, Index row) noexcept {
      for (Index k = 0; k < kTogether; ++k) {
        const Index at = row + k < rows.end ? row + k : rows.end - 1;
        codes[k] = codes_at(view, at, 0);
        lane[k] = at % kPanelRows;
      }
    }
  };

  template <int Bits, bool HasLevels, int XDigits>
  SINQ_TARGET static void integers(const QuantizedView& view, RowRange rows, const InputView& in, const Levels& levels,
                                   float* out) noexcept {
    const int bits = view.layout().bits;
    const auto unpacker = S::load_unpacker(kUnpackPlans[static_cast<std::size_t>(bits)]);
    const Index step = S::kBytes * bits / 8;
    const Index row_bytes = ScalarCodes(view.layout()).row_bytes();
    alignas(64) float y[kPanelRows] = {};
    alignas(64) float lanes[kPanelRows * S::kWidth] = {};
    const int digits = XDigits + (HasLevels && levels.table.digits == 2 ? 1 : 0);
    constexpr int kSums = XDigits + (HasLevels ? 1 : 0);
    Chunk chunk;
    for (Index first = 0; first < in.blocks.count; first += kChunk) {
      prepare(view, rows.begin / kPanelRows, in, first, levels.table.affine, chunk, y);
      for (Index row = rows.begin; row < rows.end; row += kTogether) {
        const Rows at(view, rows, row);
        F sum[kTogether];
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kTogether; ++k) sum[k] = S::load(lanes + at.lane[k] * S::kWidth);
        for (Index i = 0; i < chunk.count; ++i) {
          const BlockPlace& place = chunk.place[i];
          I sums[std::size_t{kTogether}][std::size_t{kSums}];
          SINQ_UNROLL_VECTORS
          for (int k = 0; k < kTogether; ++k) {
            fetch(at.codes[k] + place.offset, row_bytes);
            SINQ_UNROLL_VECTORS
            for (int s = 0; s < kSums; ++s) sums[k][s] = S::set1_index(0);
          }
          Index offset = place.offset, left = place.left;
          for (Index c = 0; c < place.cols; c += S::kBytes, offset += step, left -= step) {
            const std::int8_t* high = in.high + place.x + c;
            const std::int8_t* low = in.low + place.x + c;
            SINQ_UNROLL_VECTORS
            for (int k = 0; k < kTogether; ++k) {
              const B codes = S::template unpack<Bits>(unpacker, at.codes[k] + offset, left);
              if constexpr (HasLevels) {
                add_levels<XDigits>(codes, levels.table, view.layout().level_count, high, low, sums[k]);
              } else {
                add<(Bits == 8 ? 255 : S::kMaxCode), XDigits>(codes, high, low, sums[k]);
              }
            }
          }
          const float* const a = chunk.a + i * kPanelRows;
          SINQ_UNROLL_VECTORS
          for (int k = 0; k < kTogether; ++k) {
            sum[k] = S::fma(whole<kSums>(sums[k], digits), S::set1(a[at.lane[k]]), sum[k]);
          }
        }
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kTogether; ++k) S::store(lanes + at.lane[k] * S::kWidth, sum[k]);
      }
    }
    finish(rows, lanes, y, out);
  }
  SINQ_TARGET static void finish(RowRange rows, const float* lanes, const float* y, float* out) noexcept {
    for (Index row = rows.begin; row < rows.end; ++row) {
      const Index r = row % kPanelRows;
      out[row - rows.begin] = S::reduce_add(S::load(lanes + r * S::kWidth)) + y[r];
    }
  }

  /// sums[i] += products of digits that count 128^-i.
  template <int Largest, int XDigits>
  SINQ_INLINE void add(B t, const std::int8_t* high, const std::int8_t* low, I* sums) noexcept {
    sums[0] = S::template dot<Largest>(sums[0], t, S::load_bytes(high));
    if constexpr (XDigits == 2) sums[1] = S::template dot<Largest>(sums[1], t, S::load_bytes(low));
  }
  template <int XDigits>
  SINQ_INLINE void add_levels(B codes, const LevelTable& table, Index entries, const std::int8_t* high,
                              const std::int8_t* low, I* sums) noexcept {
    add<S::kMaxCode, XDigits>(level(codes, table.high, entries), high, low, sums);
    if (table.digits == 2) add<S::kMaxCode, XDigits>(level(codes, table.low, entries), high, low, sums + 1);
  }
  /// The sums as one number, given how many of them count.
  template <int Sums>
  SINQ_INLINE F whole(const I (&sums)[std::size_t{Sums}], int digits) noexcept {
    if constexpr (Sums > 1) {
      if (digits > 1) {
        const F upper = S::to_float(S::add_index(S::template scale_up<7>(sums[0]), sums[1]));
        if constexpr (Sums > 2) {
          if (digits > 2) return S::fma(upper, S::set1(128.0F), S::to_float(sums[2]));
        }
        return upper;
      }
    }
    return S::to_float(sums[0]);
  }
  SINQ_INLINE B level(B codes, const std::uint8_t* table, Index entries) noexcept {
    if (entries <= 16) return S::lookup_bytes16(S::load_table16(table), codes);
    B found = S::set1_byte(0);
    for (Index k = 0; k < entries; k += 16) {
      found = S::bit_or(found, S::lookup_bytes_from(S::load_table16(table + k), codes, static_cast<int>(k)));
    }
    return found;
  }

  template <int Bits>
  SINQ_TARGET static void floats(const QuantizedView& view, RowRange rows, const InputView& in, const Levels& levels,
                                 float* out) noexcept {
    const int bits = view.layout().bits;
    const Index entries = view.layout().level_count;
    const auto unpacker = S::load_unpacker(kUnpackPlans[static_cast<std::size_t>(bits)]);
    const Index step = S::kBytes * bits / 8;
    const Index row_bytes = ScalarCodes(view.layout()).row_bytes();
    alignas(64) float y[kPanelRows] = {};
    alignas(64) float lanes[kPanelRows * S::kWidth] = {};
    Chunk chunk;
    for (Index first = 0; first < in.blocks.count; first += kChunk) {
      prepare(view, rows.begin / kPanelRows, in, first, {}, chunk, y);
      for (Index row = rows.begin; row < rows.end; row += kTogether) {
        const Rows at(view, rows, row);
        F sum[kTogether];
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kTogether; ++k) sum[k] = S::load(lanes + at.lane[k] * S::kWidth);
        for (Index i = 0; i < chunk.count; ++i) {
          const BlockPlace& place = chunk.place[i];
          F dot[kTogether];
          SINQ_UNROLL_VECTORS
          for (int k = 0; k < kTogether; ++k) {
            fetch(at.codes[k] + place.offset, row_bytes);
            dot[k] = S::zero();
          }
          Index offset = place.offset, left = place.left;
          for (Index c = 0; c < place.cols; c += S::kBytes, offset += step, left -= step) {
            const float* const x = in.values + place.x + c;
            SINQ_UNROLL_VECTORS
            for (int k = 0; k < kTogether; ++k) {
              alignas(64) std::uint8_t codes[S::kBytes];
              S::store_bytes(codes, S::template unpack<Bits>(unpacker, at.codes[k] + offset, left));
              SINQ_UNROLL_VECTORS
              for (int v = 0; v < 4; ++v) {
                dot[k] = S::fma(value(codes + v * S::kWidth, levels, entries), S::load(x + v * S::kWidth), dot[k]);
              }
            }
          }
          const float* const a = chunk.a + i * kPanelRows;
          SINQ_UNROLL_VECTORS
          for (int k = 0; k < kTogether; ++k) sum[k] = S::fma(dot[k], S::set1(a[at.lane[k]]), sum[k]);
        }
        SINQ_UNROLL_VECTORS
        for (int k = 0; k < kTogether; ++k) S::store(lanes + at.lane[k] * S::kWidth, sum[k]);
      }
    }
    finish(rows, lanes, y, out);
  }
  SINQ_INLINE F value(const std::uint8_t* codes, const Levels& levels, Index entries) noexcept {
    if (entries == 0) return S::load_codes(codes);
    return entries <= 16 ? S::lookup16(levels.first16, S::load_indices(codes))
                         : S::lookup(levels.values, S::load_indices(codes));
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
