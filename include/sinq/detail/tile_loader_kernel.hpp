// Compiled once per instruction set by tile_loader.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct TileLoad<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using Moments = MomentKernel<SINQ_ISA>;

  /// Copies rows of scalars to the tile, times `factor` (a power of two), and takes their moments while they are in the
  /// first cache. `ones` holds a 1 for every row and every column. Returns the bits of the greatest magnitude that was
  /// read.
  SINQ_TARGET static std::int32_t run(const void* first, ScalarType type, Index row_stride, float factor,
                                      InputRounding rounding, const TileView& tile, const TileMoments& moments,
                                      const float* ones) noexcept {
    const ScaledTileReader<SINQ_ISA> reader{tile, ones};
    const bool is_rounded = rounding == InputRounding::kF16;
    Moments::clear(tile.cols, moments);
    std::int32_t greatest = 0;
    for (Index r = 0; r < tile.rows; r += kMomentRows) {
      const RowRange rows{r, r + kMomentRows < tile.rows ? r + kMomentRows : tile.rows};
      const float copy_factor = is_rounded ? 1.0F : factor;
      std::int32_t bits = 0;
      switch (type) {
        case ScalarType::kF64:
          bits = copy(static_cast<const double*>(first), row_stride, copy_factor, tile, rows);
          break;
        case ScalarType::kF16:
          bits = copy(static_cast<const F16Bits*>(first), row_stride, copy_factor, tile, rows);
          break;
        case ScalarType::kBf16:
          bits = copy(static_cast<const Bf16Bits*>(first), row_stride, copy_factor, tile, rows);
          break;
        case ScalarType::kF32:
          bits = copy(static_cast<const float*>(first), row_stride, copy_factor, tile, rows);
      }
      if (is_rounded) bits = round(tile, rows, factor);
      greatest = bits > greatest ? bits : greatest;
      Moments::add_rows(reader, rows, tile.cols, ones, moments);
    }
    return greatest;
  }

 private:
  template <class Source>
  SINQ_TARGET static std::int32_t copy(const Source* first, Index row_stride, float factor, const TileView& tile,
                                       RowRange rows) noexcept {
    // Rows of a strip lie a matrix row apart, where no hardware prefetcher follows, and often a power of two, so that
    // the first cache could hold no more than 12 of them. Any distance from 20 to 96 rows is as good as this one.
    constexpr Index kRowsAhead = 48;
    constexpr Index kPerLine = 64 / Index{sizeof(Source)};
    const F scale = S::set1(factor);
    const Index whole = tile.cols / S::kWidth * S::kWidth;
    const int tail = static_cast<int>(tile.cols - whole);
    auto greatest = S::set1_index(0);
    for (Index r = rows.begin; r < rows.end; ++r) {
      const Source* from = first + r * row_stride;
      float* to = tile.row(r);
      const Source* ahead = first + (r + kRowsAhead < tile.rows ? r + kRowsAhead : r) * row_stride;
      for (Index c = 0; c < whole; c += S::kWidth) {
        if (kPerLine <= S::kWidth || c % kPerLine == 0) S::prefetch_far(ahead + c);
        const F x = read(from + c);
        greatest = S::max_bits(greatest, x);
        S::store(to + c, S::mul(x, scale));
      }
      Index c = whole;
      if (tail != 0) {
        Source lanes[S::kWidth] = {};
        for (int i = 0; i < tail; ++i) lanes[i] = from[whole + i];
        const F x = read(lanes);
        greatest = S::max_bits(greatest, x);
        S::store(to + c, S::mul(x, scale));
        c += S::kWidth;
      }
      for (; c < tile.stride; c += S::kWidth) S::store(to + c, S::zero());
    }
    return S::reduce_max_index(greatest);
  }

  /// Rounds to binary16, then multiplies: what the reference is given is rounded before anything else.
  SINQ_TARGET static std::int32_t round(const TileView& tile, RowRange rows, float factor) noexcept {
    auto greatest = S::set1_index(0);
    for (Index r = rows.begin; r < rows.end; ++r) {
      float* const row = tile.row(r);
      for (Index c = 0; c < tile.stride; c += S::kWidth) {
        std::uint16_t lanes[S::kWidth];
        S::store_f16(lanes, S::load(row + c));
        const F x = S::load_f16(lanes);
        greatest = S::max_bits(greatest, x);
        S::store(row + c, S::mul(x, S::set1(factor)));
      }
    }
    return S::reduce_max_index(greatest);
  }

  SINQ_TARGET static F read(const float* p) noexcept { return S::load(p); }
  SINQ_TARGET static F read(const double* p) noexcept { return S::load_f64(p); }
  SINQ_TARGET static F read(const F16Bits* p) noexcept { return S::load_f16(&p->bits); }
  SINQ_TARGET static F read(const Bf16Bits* p) noexcept { return S::load_bf16(&p->bits); }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
