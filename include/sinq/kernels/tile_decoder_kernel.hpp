// Compiled once per instruction set by tile.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Blocks of 16 rows, out of any layout, as one byte per code or one float per weight: what batches are multiplied
/// with, and what formats without a kernel of their own go through.
template <>
struct TileDecoder<SINQ_ISA> {
  using S = Dot<SINQ_ISA>;
  using F = S::F;
  using B = S::B;
  using Units = UnitDecoder<SINQ_ISA>;

  /// Codes of a block as quads [quad][16 rows][4] in `tile` [kTileBytes]; returns the block's first quad in it. Codes
  /// behind the block's last column are arbitrary. Levels that are whole numbers come as level + kLevelZero.
  template <class View>
  SINQ_TARGET static std::uint8_t* codes(const View& view, Index panel, const InputBlocks& blocks, Index block,
                                         std::uint8_t* tile) noexcept requires(std::is_same_v<View, RepackedView>) {
    const Index super = blocks.group(block) / kSuperGroups;
    const Index first = blocks.first_col(block) - view.geometry().first_col(super);
    const Index end = first + blocks.col_count(block);
    const std::uint8_t* const lines = view.super_block(panel, super);
    const Index unit = first / kUnitCols;
    const Index unit_bytes = view.layout().bits * kLineBytes;
    const auto to_bytes = Units::to_bytes(view.layout().bits);
    for (Index u = unit; u < ceil_div(end, kUnitCols); ++u) {
      to_bytes(lines + u * unit_bytes, tile + (u - unit) * 8 * kLineBytes);
    }
    return tile + first % kUnitCols / 4 * kLineBytes;
  }

  template <class View>
  SINQ_TARGET static std::uint8_t* codes(const View& view, Index panel, const InputBlocks& blocks, Index block,
                                         std::uint8_t* tile) noexcept requires(std::is_same_v<View, QuantizedView>) {
    // Whole vectors of quads: 256 columns are at most that many bytes of a row.
    alignas(64) std::uint8_t rows[kPanelRows * kMaxBlockCols];
    const Index first = blocks.first_col(block), cols = blocks.col_count(block), row = panel * kPanelRows;
    const Index present = panel_row_count(view.layout().rows, panel);
    const Index count = round_up(cols, S::kBytes);
    std::memset(rows + present * kMaxBlockCols, 0, static_cast<std::size_t>((kPanelRows - present) * kMaxBlockCols));
    if (ScalarCodes::holds(view.layout())) {
      for (Index r = 0; r < present; ++r) scalar_row(view, row + r, first, count, rows + r * kMaxBlockCols);
    } else {
      unpack_codes<typename S::SimdTag>(view.layout(), view.code_regions(), {row, row + present},
                                        view.stored(ColRange{first, first + cols}), rows, kMaxBlockCols);
    }
    for (Index r = 0; r < kPanelRows; r += S::kWidth) {
      for (Index c = 0; c < count; c += S::kBytes) {
        S::transpose_quads(rows + r * kMaxBlockCols + c, kMaxBlockCols, tile + c / 4 * kLineBytes + r * 4);
      }
    }
    return tile;
  }

  /// Replaces the codes of a tile by entries of `table` [2^bits, at most 256].
  SINQ_TARGET static void look_up(const std::uint8_t* codes, Index quads, const std::uint8_t* table, Index entries,
                                  std::uint8_t* out) noexcept {
    if (entries <= 16) {
      const B first = S::load_table16(table);
      for (Index i = 0; i < quads * kLineBytes; i += S::kBytes) {
        S::store_bytes(out + i, S::lookup_bytes16(first, S::load_bytes(codes + i)));
      }
      return;
    }
    for (Index i = 0; i < quads * kLineBytes; i += S::kBytes) {
      const B code = S::load_bytes(codes + i);
      B found = S::set1_byte(0);
      for (Index k = 0; k < entries; k += 16) {
        found = S::bit_or(found, S::lookup_bytes_from(S::load_table16(table + k), code, static_cast<int>(k)));
      }
      S::store_bytes(out + i, found);
    }
  }

  /// Weights a * level + b of `quads` quads of a tile as floats, [column][stride].
  SINQ_TARGET static void weights(const std::uint8_t* codes, Index quads, const Levels& levels, Index entries,
                                  const float* a, const float* b, Index stride, float* out) noexcept {
    for (Index part = 0; part < kPanelRows; part += S::kWidth) {
      const F scale = S::load(a + part);
      const F offset = S::load(b + part);
      for (Index q = 0; q < quads; ++q) {
        const B quad = S::load_bytes(codes + q * kLineBytes + part * 4);
        float* const to = out + 4 * q * stride + part;
        S::store(to, S::fma(level(S::template byte_of_lane<0>(quad), levels, entries), scale, offset));
        S::store(to + stride, S::fma(level(S::template byte_of_lane<1>(quad), levels, entries), scale, offset));
        S::store(to + 2 * stride, S::fma(level(S::template byte_of_lane<2>(quad), levels, entries), scale, offset));
        S::store(to + 3 * stride, S::fma(level(S::template byte_of_lane<3>(quad), levels, entries), scale, offset));
      }
    }
  }

 private:
  SINQ_INLINE F level(S::I code, const Levels& levels, Index entries) noexcept {
    if (entries == 0) return S::to_float(code);
    return entries <= 16 ? S::lookup16(levels.first16, code) : S::lookup(levels.values, code);
  }

  /// `count` scalar codes of stored row `row` from column `first` of the window on, one per byte, in the way that the
  /// machine's byte vectors like best.
  SINQ_TARGET static void scalar_row(const QuantizedView& view, Index row, Index first, Index count,
                                     std::uint8_t* out) noexcept {
    const std::uint8_t* const from = codes_at(view, row, first);
    const Index left = codes_left(view, first);
    switch (view.layout().bits) {
      case 4:
        return unpack_row<4>(view, from, left, count, out);
      case 8:
        return unpack_row<8>(view, from, left, count, out);
      default:
        unpack_row<0>(view, from, left, count, out);
    }
  }
  template <int Bits>
  SINQ_TARGET static void unpack_row(const QuantizedView& view, const std::uint8_t* from, Index left, Index count,
                                     std::uint8_t* out) noexcept {
    const int bits = view.layout().bits;
    const auto unpacker = S::load_unpacker(kUnpackPlans[static_cast<std::size_t>(bits)]);
    const Index step = S::kBytes * bits / 8;
    for (Index c = 0; c < count; c += S::kBytes, from += step, left -= step) {
      S::store_bytes(out + c, left > 0 ? S::template unpack<Bits>(unpacker, from, left) : S::set1_byte(0));
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
