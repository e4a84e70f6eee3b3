#pragma once

#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/zeroed_bytes.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/packing/aux_codec.hpp>
#include <sinq/packing/bit_packing.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sinq::inline SINQ_ABI {

/// What a group stores beside its scale.
enum class OffsetKind : std::uint8_t {
  kShared,     ///< nothing: every group has `Layout::shared_zero_point`
  kZeroPoint,  ///< zero_point, in level units: w ~ (level - zero_point) * group_scale
  kOffset,     ///< offset, in normalized weight units: w ~ level * group_scale + offset
};

/// Whether the second axis is stored at all; without it every column scale is 1.
enum class ColScaleKind : std::uint8_t { kNone, kStored };

/// Shape and format of a quantized matrix: everything but the bytes. Decodes as
///
///   w[r,c] = ((level(code[r,c]) - zero_point[r,g]) * group_scale[r,g]) * col_scale[r / row_block, c] * matrix_scale
///
/// with g = c / group_size. The byte layout of each region is in include/sinq/README.md.
struct Layout {
  Index rows = 0;
  Index cols = 0;
  int bits = 4;           ///< bits per code, 1..8 (1..16 for vector codes, 0 for the lane trellis)
  int vector_dim = 1;     ///< consecutive columns per code: 1, 2, 4 or 8
  int quarter_bits = 0;   ///< rate of the lane trellis in quarters of a bit, 6..18; 0: codes of whole bits
  Index group_size = 64;  ///< columns sharing scale and offset; a multiple of 8, may exceed cols
  Index row_block = 0;    ///< rows sharing one column scale vector: rows for strips, tile height for squares
  Index level_count = 0;  ///< 0: a code is its own level; else 2^bits entries of vector_dim levels, or 48 of a trellis
  SignStorage signs = SignStorage::kInLevels;
  OffsetKind offset = OffsetKind::kZeroPoint;
  AuxFormat aux = AuxFormat::kF16;
  ColScaleKind col_scale = ColScaleKind::kStored;
  float shared_zero_point = 0.0F;  ///< of OffsetKind::kShared
  float matrix_scale = 1.0F;       ///< a power of two, so that f16 and 8-bit aux fit whatever the weights' units

  friend bool operator==(const Layout&, const Layout&) = default;

  [[nodiscard]] Index groups() const noexcept { return ceil_div(cols, group_size); }
  [[nodiscard]] Index row_blocks() const noexcept { return ceil_div(rows, row_block); }
  [[nodiscard]] Index codes_per_row() const noexcept { return ceil_div(cols, Index{vector_dim}); }
  [[nodiscard]] Index code_row_bytes() const noexcept { return packed_bytes(codes_per_row(), bits); }
  [[nodiscard]] Index sign_row_bytes() const noexcept {
    return signs == SignStorage::kSeparate ? ceil_div(cols, 8) : 0;
  }
  /// Bytes of one level: tables of vectors are whole numbers in -127..127, so that a table costs a quarter and integer
  /// kernels multiply by it exactly; the group scales take its unit in.
  [[nodiscard]] Index level_bytes() const noexcept {
    return vector_dim == 1 && quarter_bits == 0 ? Index{sizeof(float)} : 1;
  }
  /// Where the codes of the lane trellis lie.
  [[nodiscard]] TrellisGeometry trellis() const noexcept { return {rows, cols, quarter_bits}; }
  [[nodiscard]] AuxFormat col_scale_format() const noexcept {
    return aux == AuxFormat::kF32 ? AuxFormat::kF32 : AuxFormat::kF16;
  }
};

/// The regions of a quantized matrix, in the order of storage.
enum class Region : std::uint8_t {
  kCodes,             ///< [rows][code_row_bytes], or the panels of a trellis
  kSigns,             ///< [rows][sign_row_bytes]
  kGroupScale,        ///< [groups][rows]
  kGroupScaleBlocks,  ///< [groups][ceil(rows / 64)] {f16 minimum, f16 step}, 8-bit aux only
  kOffset,            ///< [groups][rows]
  kOffsetBlocks,      ///< as kGroupScaleBlocks
  kColScale,          ///< [row_blocks][cols]
  kLevels,            ///< [level_count] float32, or [level_count][vector_dim] int8, of a trellis [3][16]
};
inline constexpr int kRegionCount = 8;
/// Each region starts on a cache line in a buffer laid out by `region_offset`.
inline constexpr Index kRegionAlignment = 64;

/// Bytes of one region, without padding.
[[nodiscard]] inline Index region_bytes(const Layout& layout, Region region) noexcept {
  const Index values = layout.groups() * aux_bytes(layout.aux, layout.rows);
  const Index blocks = has_aux_blocks(layout.aux) ? layout.groups() * aux_blocks(layout.rows) : 0;
  const bool has_offset = layout.offset != OffsetKind::kShared;
  switch (region) {
    case Region::kCodes:
      return layout.quarter_bits == 0 ? layout.rows * layout.code_row_bytes() : layout.trellis().bytes();
    case Region::kSigns:
      return layout.rows * layout.sign_row_bytes();
    case Region::kGroupScale:
      return values;
    case Region::kGroupScaleBlocks:
      return blocks * Index{sizeof(AuxBlock)};
    case Region::kOffset:
      return has_offset ? values : 0;
    case Region::kOffsetBlocks:
      return has_offset ? blocks * Index{sizeof(AuxBlock)} : 0;
    case Region::kColScale:
      return layout.col_scale == ColScaleKind::kNone
                 ? 0
                 : aux_bytes(layout.col_scale_format(), layout.row_blocks() * layout.cols);
    case Region::kLevels:
      return layout.level_count * layout.vector_dim * layout.level_bytes();
  }
  return 0;
}

/// Where a region starts in one buffer that holds them all.
[[nodiscard]] inline Index region_offset(const Layout& layout, Region region) noexcept {
  Index offset = 0;
  for (int i = 0; i < static_cast<int>(region); ++i) {
    offset += round_up(region_bytes(layout, static_cast<Region>(i)), kRegionAlignment);
  }
  return offset;
}

/// Bytes of one buffer that holds all regions.
[[nodiscard]] inline Index storage_bytes(const Layout& layout) noexcept {
  return region_offset(layout, Region::kLevels) + round_up(region_bytes(layout, Region::kLevels), kRegionAlignment);
}

/// All stored bits (codes, signs, every scale, tables, matrix_scale) per weight; alignment padding is not counted.
[[nodiscard]] inline double bits_per_weight(const Layout& layout) noexcept {
  Index bytes = Index{sizeof(float)};
  for (int i = 0; i < kRegionCount; ++i) bytes += region_bytes(layout, static_cast<Region>(i));
  return 8.0 * static_cast<double>(bytes) / (static_cast<double>(layout.rows) * static_cast<double>(layout.cols));
}

namespace detail {

/// A rule that a layout breaks; the text names field, value and rule.
struct LayoutFlaw {
  Errc code;
  std::string text;
};

/// Of the lane trellis.
[[nodiscard]] inline std::optional<LayoutFlaw> find_trellis_flaw(const Layout& layout) {
  const auto flaw = [](const auto&... parts) { return LayoutFlaw{Errc::kBadConfig, text(parts...)}; };
  const int q = layout.quarter_bits;
  if (q < TrellisGeometry::kMinQuarterBits || q > TrellisGeometry::kMaxQuarterBits) {
    return flaw("quarter_bits ", q, " is not in ", TrellisGeometry::kMinQuarterBits, "..",
                TrellisGeometry::kMaxQuarterBits);
  }
  if (layout.bits != 0) return flaw("bits ", layout.bits, " is not 0 beside quarter_bits ", q);
  if (layout.vector_dim != 1) return flaw("vector_dim ", layout.vector_dim, " is not 1 beside quarter_bits ", q);
  if (layout.group_size % TrellisGeometry::kBlockCols != 0) {
    return flaw("group_size ", layout.group_size, " is not a multiple of ", TrellisGeometry::kBlockCols,
                ", which the lane trellis needs");
  }
  if (layout.level_count != TrellisTables::kBytes) {
    return flaw("level_count ", layout.level_count, " is not the ", TrellisTables::kBytes, " of the lane trellis");
  }
  if (layout.offset != OffsetKind::kShared || layout.shared_zero_point != 0.0F) {
    return flaw("the lane trellis has no offsets: OffsetKind::kShared, with shared_zero_point 0");
  }
  return std::nullopt;
}

/// The first rule that `layout` breaks, if any.
[[nodiscard]] inline std::optional<LayoutFlaw> find_flaw(const Layout& layout) {
  const auto flaw = [](Errc code, const auto&... parts) { return LayoutFlaw{code, text(parts...)}; };
  if (layout.rows < 1) return flaw(Errc::kBadShape, "rows ", layout.rows, " is not at least 1");
  if (layout.cols < 1) return flaw(Errc::kBadShape, "cols ", layout.cols, " is not at least 1");
  if (layout.rows > kMaxWeights / layout.cols) {
    return flaw(Errc::kBadShape, "rows ", layout.rows, " x cols ", layout.cols, " is more than 2^", kMaxWeightsLog2,
                " weights");
  }
  const int d = layout.vector_dim;
  if (d != 1 && d != 2 && d != 4 && d != 8) return flaw(Errc::kBadConfig, "vector_dim ", d, " is not 1, 2, 4 or 8");
  const int max_bits = d == 1 ? 8 : 16;
  if (layout.quarter_bits == 0 && (layout.bits < 1 || layout.bits > max_bits)) {
    return flaw(Errc::kBadConfig, "bits ", layout.bits, " is not in 1..", max_bits);
  }
  if (layout.group_size < 8 || layout.group_size % 8 != 0 || layout.group_size > kMaxWeights) {
    return flaw(Errc::kBadConfig, "group_size ", layout.group_size, " is not a positive multiple of 8");
  }
  if (layout.row_block < 1 || layout.row_block > layout.rows) {
    return flaw(Errc::kBadConfig, "row_block ", layout.row_block, " is not in 1..rows (", layout.rows, ")");
  }
  if (layout.quarter_bits == 0 && layout.level_count != 0 && layout.level_count != Index{1} << layout.bits) {
    return flaw(Errc::kBadConfig, "level_count ", layout.level_count, " is neither 0 nor 2^bits");
  }
  if (d != 1 && layout.level_count == 0) {
    return flaw(Errc::kBadConfig, "vector_dim ", d, " needs a table of levels");
  }
  if (d == 1 && layout.signs != SignStorage::kInLevels) {
    return flaw(Errc::kBadConfig, "separate signs belong to vector codes");
  }
  if (!is_positive(layout.matrix_scale)) {
    return flaw(Errc::kBadConfig, "matrix_scale ", layout.matrix_scale, " is not positive and finite");
  }
  if (!is_finite(layout.shared_zero_point)) {
    return flaw(Errc::kBadConfig, "shared_zero_point ", layout.shared_zero_point, " is not finite");
  }
  if (layout.quarter_bits != 0) return find_trellis_flaw(layout);
  return std::nullopt;
}

}  // namespace detail

/// Checks that a layout makes sense and that its sizes can be computed. Throws Errc::kBadShape or kBadConfig.
inline void validate(const Layout& layout) {
  if (const auto flaw = detail::find_flaw(layout)) SINQ_THROW(flaw->code, detail::text("layout: ", flaw->text));
}

/// A quantized matrix in memory that somebody else owns: a `QuantizedMatrix`, a mapped file, an engine's arena.
/// Cheap to copy. May show a window (a row range and a group-aligned column range) of the stored matrix.
/// Reading from several threads is safe.
class QuantizedView {
 public:
  QuantizedView() = default;

  /// From one pointer per region (null where the region is empty). Throws kBadConfig / kBadShape.
  QuantizedView(const Layout& layout, const std::byte* const (&regions)[kRegionCount]) : layout_(layout) {
    validate(layout);
    for (int i = 0; i < kRegionCount; ++i) {
      if (regions[i] == nullptr && region_bytes(layout, static_cast<Region>(i)) != 0) {
        SINQ_THROW(Errc::kBadShape, detail::text("QuantizedView: region ", i, " is null but holds ",
                                                 region_bytes(layout, static_cast<Region>(i)), " bytes"));
      }
      regions_[i] = regions[i];
    }
    row_range_ = {0, layout.rows};
    col_range_ = {0, layout.cols};
  }

  /// From one buffer of at least `storage_bytes(layout)`. Throws kBadConfig / kBadShape.
  [[nodiscard]] static QuantizedView from_buffer(const Layout& layout, std::span<const std::byte> buffer) {
    validate(layout);
    if (static_cast<Index>(buffer.size()) < storage_bytes(layout)) {
      SINQ_THROW(Errc::kBadShape, detail::text("QuantizedView: buffer has ", buffer.size(), " bytes, the layout needs ",
                                               storage_bytes(layout)));
    }
    const std::byte* regions[kRegionCount];
    for (int i = 0; i < kRegionCount; ++i) {
      const auto region = static_cast<Region>(i);
      regions[i] = region_bytes(layout, region) == 0 ? nullptr : buffer.data() + region_offset(layout, region);
    }
    return {layout, regions};
  }

  /// Of the stored matrix, which may be larger than the window.
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  /// Of the window.
  [[nodiscard]] Index rows() const noexcept { return row_range_.size(); }
  [[nodiscard]] Index cols() const noexcept { return col_range_.size(); }
  [[nodiscard]] Index groups() const noexcept { return ceil_div(cols(), layout_.group_size); }
  /// Position of the window in the stored matrix.
  [[nodiscard]] RowRange row_range() const noexcept { return row_range_; }
  [[nodiscard]] ColRange col_range() const noexcept { return col_range_; }
  [[nodiscard]] Index first_group() const noexcept { return col_range_.begin / layout_.group_size; }

  /// Rows [begin, end) of this view. Throws kBadShape.
  [[nodiscard]] QuantizedView row_slice(RowRange range) const {
    if (range.begin < 0 || range.begin >= range.end || range.end > rows()) {
      SINQ_THROW(Errc::kBadShape, detail::text("row_slice: [", range.begin, ", ", range.end,
                                               ") is not a non-empty range within ", rows(), " rows"));
    }
    QuantizedView out = *this;
    out.row_range_ = {row_range_.begin + range.begin, row_range_.begin + range.end};
    return out;
  }

  /// Columns [begin, end) of this view; both ends on a group boundary (the end may be the last column).
  /// Throws kBadShape.
  [[nodiscard]] QuantizedView col_slice(ColRange range) const {
    // Vector codes of odd widths may leave a group's start inside a byte.
    const bool aligned = range.begin % layout_.group_size == 0 &&
                         (range.end % layout_.group_size == 0 || range.end == cols()) &&
                         range.begin / layout_.vector_dim * layout_.bits % 8 == 0;
    if (range.begin < 0 || range.begin >= range.end || range.end > cols() || !aligned) {
      SINQ_THROW(Errc::kBadShape,
                 detail::text("col_slice: [", range.begin, ", ", range.end, ") is not a non-empty range within ",
                              cols(), " columns on boundaries of group_size ", layout_.group_size));
    }
    QuantizedView out = *this;
    out.col_range_ = {col_range_.begin + range.begin, col_range_.begin + range.end};
    return out;
  }

  /// Start of a region of the stored matrix (not of the window); null if the format has none.
  [[nodiscard]] const std::byte* region(Region region) const noexcept { return regions_[static_cast<int>(region)]; }

  /// First code byte of row r of the window. Groups start on bytes, so the window does too.
  [[nodiscard]] const std::uint8_t* codes(Index r) const noexcept {
    return bytes(Region::kCodes) + (row_range_.begin + r) * layout_.code_row_bytes() +
           col_range_.begin / layout_.vector_dim * layout_.bits / 8;
  }
  /// First sign byte of row r of the window, or null.
  [[nodiscard]] const std::uint8_t* signs(Index r) const noexcept {
    if (layout_.signs == SignStorage::kInLevels) return nullptr;
    return bytes(Region::kSigns) + (row_range_.begin + r) * layout_.sign_row_bytes() + col_range_.begin / 8;
  }
  /// The levels [level_count] of scalar codes, or null if codes are levels or stand for vectors.
  [[nodiscard]] const float* levels() const noexcept {
    return layout_.level_bytes() == 1 ? nullptr : reinterpret_cast<const float*>(region(Region::kLevels));
  }
  /// The table [level_count, vector_dim] of vector codes, the tables A, B, C [3, 16] of the lane trellis, or null.
  [[nodiscard]] const std::int8_t* byte_levels() const noexcept {
    return layout_.level_bytes() == 1 ? reinterpret_cast<const std::int8_t*>(region(Region::kLevels)) : nullptr;
  }

  /// Decodes the group scales of rows [begin, end) of group g (window coordinates) to `out`, without matrix_scale.
  /// Throws kBadShape where the window has no such group or rows, as the three that follow do.
  void group_scales(Index g, RowRange range, float* out) const {
    require_within("group_scales", g, groups(), range, rows());
    decode_aux(layout_.aux, AuxCurve::kLogarithmic, aux_column(Region::kGroupScale, Region::kGroupScaleBlocks, g),
               shift(range), out);
  }
  /// Decodes zero points, in level units, whatever the format stores. (With OffsetKind::kOffset: -offset /
  /// group_scale.)
  void zero_points(Index g, RowRange range, float* out) const {
    require_within("zero_points", g, groups(), range, rows());
    if (layout_.offset == OffsetKind::kShared) {
      std::fill(out, out + range.size(), layout_.shared_zero_point);
      return;
    }
    stored_offsets(g, range, out);
    if (layout_.offset == OffsetKind::kOffset) {
      for (Index r = 0; r < range.size(); ++r) {
        float scale = 0.0F;
        group_scales(g, {range.begin + r, range.begin + r + 1}, &scale);
        out[r] = scale == 0.0F ? 0.0F : -out[r] / scale;
      }
    }
  }
  /// Decodes what the offset region holds (zero points or offsets). OffsetKind::kShared has none: throws kUnsupported.
  void stored_offsets(Index g, RowRange range, float* out) const {
    require_within("stored_offsets", g, groups(), range, rows());
    if (layout_.offset == OffsetKind::kShared) {
      SINQ_THROW(Errc::kUnsupported, "stored_offsets: OffsetKind::kShared stores none, see Layout::shared_zero_point");
    }
    decode_aux(layout_.aux, AuxCurve::kLinear, aux_column(Region::kOffset, Region::kOffsetBlocks, g), shift(range),
               out);
  }
  /// Decodes the column scales of columns [begin, end) that rows of `row` (window coordinates) use.
  void col_scales(Index row, ColRange range, float* out) const {
    require_within("col_scales", row, rows(), range, cols());
    if (layout_.col_scale == ColScaleKind::kNone) {
      std::fill(out, out + range.size(), 1.0F);
      return;
    }
    const Index first = (row_range_.begin + row) / layout_.row_block * layout_.cols + col_range_.begin + range.begin;
    decode_aux(layout_.col_scale_format(), AuxCurve::kLinear, {region(Region::kColScale), nullptr},
               {first, first + range.size()}, out);
  }

 private:
  template <class Range>
  static void require_within(std::string_view call, Index i, Index count, const Range& range, Index size) {
    if (i >= 0 && i < count && range.begin >= 0 && range.begin <= range.end && range.end <= size) return;
    SINQ_THROW(Errc::kBadShape, detail::text(call, ": ", i, " is not in 0..", count - 1, ", or [", range.begin, ", ",
                                             range.end, ") is not a range within ", size));
  }
  [[nodiscard]] const std::uint8_t* bytes(Region r) const noexcept {
    return reinterpret_cast<const std::uint8_t*>(region(r));
  }
  [[nodiscard]] AuxColumn aux_column(Region values, Region blocks, Index g) const noexcept {
    const Index group = first_group() + g;
    const std::byte* params = region(blocks);
    return {region(values) + group * aux_bytes(layout_.aux, layout_.rows),
            params == nullptr ? nullptr : params + group * aux_blocks(layout_.rows) * Index{sizeof(AuxBlock)}};
  }
  [[nodiscard]] RowRange shift(RowRange range) const noexcept {
    return {row_range_.begin + range.begin, row_range_.begin + range.end};
  }

  Layout layout_;
  const std::byte* regions_[kRegionCount] = {};
  RowRange row_range_;
  ColRange col_range_;
};

/// A quantized matrix that owns its bytes: one cache-line aligned buffer. Move-only; `view()` is what everything reads.
/// When moved from it is like a new one, 0 x 0.
class QuantizedMatrix {
 public:
  QuantizedMatrix() = default;
  /// Zeroed storage for `layout`. Throws kBadConfig / kBadShape.
  explicit QuantizedMatrix(const Layout& layout) : layout_(layout) {
    validate(layout);
    storage_ = detail::ZeroedBytes(storage_bytes(layout), "QuantizedMatrix");
  }

  [[nodiscard]] const Layout& layout() const noexcept { return *layout_; }
  [[nodiscard]] Index rows() const noexcept { return layout_->rows; }
  [[nodiscard]] Index cols() const noexcept { return layout_->cols; }
  [[nodiscard]] double bits_per_weight() const noexcept { return sinq::bits_per_weight(*layout_); }
  /// All regions, in order, each on a cache line.
  [[nodiscard]] std::span<std::byte> storage() noexcept { return storage_.bytes(); }
  [[nodiscard]] std::span<const std::byte> storage() const noexcept { return storage_.bytes(); }
  [[nodiscard]] std::span<std::byte> region(Region r) noexcept {
    return storage().subspan(static_cast<std::size_t>(region_offset(*layout_, r)),
                             static_cast<std::size_t>(region_bytes(*layout_, r)));
  }
  /// Filled by `quantize`, once it knows the range of the group scales. A positive power of two.
  void set_matrix_scale(float scale) noexcept { layout_->matrix_scale = scale; }
  [[nodiscard]] QuantizedView view() const& { return QuantizedView::from_buffer(*layout_, storage()); }
  QuantizedView view() && = delete;  // the bytes would die with the temporary
  operator QuantizedView() const& { return view(); }
  operator QuantizedView() && = delete;

 private:
  detail::ClearedOnMove<Layout> layout_;
  detail::ZeroedBytes storage_;
};

}  // namespace sinq::inline SINQ_ABI
