#pragma once

#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/zeroed_bytes.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/layout.hpp>
#include <sinq/packing/aux_codec.hpp>
#include <sinq/packing/code_layouts.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sinq::inline SINQ_ABI {

/// The regions of a quantized matrix, in the order of storage.
enum class Region : std::uint8_t {
  kCodes,             ///< as the layout of codes says (packing/), as levels
  kGroupScale,        ///< [groups][rows]
  kGroupScaleBlocks,  ///< [groups][ceil(rows / 64)] {f16 minimum, f16 step}, 8-bit aux only
  kOffset,            ///< [groups][rows]
  kOffsetBlocks,      ///< as kGroupScaleBlocks
  kColScale,          ///< [row_blocks][cols]
  kLevels,            ///< tables of levels; none if a code is its own level
};
inline constexpr int kRegionCount = 7;
/// Each region starts on a cache line in a buffer laid out by `region_offset`.
inline constexpr Index kRegionAlignment = 64;

/// Bytes of one region, without padding.
[[nodiscard]] inline Index region_bytes(const Layout& layout, Region region) noexcept {
  const Index values = layout.groups() * aux_bytes(layout.aux, layout.rows);
  const Index blocks = has_aux_blocks(layout.aux) ? layout.groups() * aux_blocks(layout.rows) : 0;
  const bool has_offset = layout.offset != OffsetKind::kShared;
  switch (region) {
    case Region::kCodes:
      return detail::with_codes(layout, [](const auto& codes) { return codes.code_shape().size(); });
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
      return detail::with_codes(
          layout, [](const auto& codes) { return codes.level_shape().size() * detail::level_bytes(codes.kLevelType); });
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

/// All stored bits (codes, every scale, tables, matrix_scale) per weight; alignment padding is not counted.
[[nodiscard]] inline double bits_per_weight(const Layout& layout) noexcept {
  Index bytes = Index{sizeof(float)};
  for (int i = 0; i < kRegionCount; ++i) bytes += region_bytes(layout, static_cast<Region>(i));
  return 8.0 * static_cast<double>(bytes) / (static_cast<double>(layout.rows) * static_cast<double>(layout.cols));
}

namespace detail {

/// The first rule that `layout` breaks, if any.
[[nodiscard]] inline std::optional<LayoutFlaw> find_flaw(const Layout& layout) {
  const auto flaw = [](Errc code, const auto&... parts) { return LayoutFlaw(code, parts...); };
  if (layout.rows < 1) return flaw(Errc::kBadShape, "rows ", layout.rows, " is not at least 1");
  if (layout.cols < 1) return flaw(Errc::kBadShape, "cols ", layout.cols, " is not at least 1");
  if (layout.rows > kMaxWeights / layout.cols) {
    return flaw(Errc::kBadShape, "rows ", layout.rows, " x cols ", layout.cols, " is more than 2^", kMaxWeightsLog2,
                " weights");
  }
  if (layout.group_size < 8 || layout.group_size % 8 != 0 || layout.group_size > kMaxWeights) {
    return flaw(Errc::kBadConfig, "group_size ", layout.group_size, " is not a positive multiple of 8");
  }
  if (layout.row_block < 1 || layout.row_block > layout.rows) {
    return flaw(Errc::kBadConfig, "row_block ", layout.row_block, " is not in 1..rows (", layout.rows, ")");
  }
  if (!is_positive(layout.matrix_scale)) {
    return flaw(Errc::kBadConfig, "matrix_scale ", layout.matrix_scale, " is not positive and finite");
  }
  if (!is_finite(layout.shared_zero_point)) {
    return flaw(Errc::kBadConfig, "shared_zero_point ", layout.shared_zero_point, " is not finite");
  }
  return with_codes(layout, [&](const auto& codes) { return codes.find_flaw(layout); });
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

  /// Rows and columns of the window as those of the stored matrix.
  [[nodiscard]] RowRange stored(RowRange range) const noexcept {
    return {row_range_.begin + range.begin, row_range_.begin + range.end};
  }
  [[nodiscard]] ColRange stored(ColRange range) const noexcept {
    return {col_range_.begin + range.begin, col_range_.begin + range.end};
  }

  /// Rows [begin, end) of this view; both ends where the layout of codes can be cut (the end may be the last row):
  /// anywhere but in a lane trellis, whose panels of 128 rows stay whole. Throws kBadShape.
  [[nodiscard]] QuantizedView row_slice(RowRange range) const {
    if (range.begin < 0 || range.begin >= range.end || range.end > rows()) {
      SINQ_THROW(Errc::kBadShape, detail::text("row_slice: [", range.begin, ", ", range.end,
                                               ") is not a non-empty range within ", rows(), " rows"));
    }
    const Index step = detail::with_codes(layout_, [](const auto& codes) { return codes.row_step(); });
    if (range.begin % step != 0 || (range.end % step != 0 && range.end != rows())) {
      SINQ_THROW(Errc::kBadShape, detail::text("row_slice: [", range.begin, ", ", range.end,
                                               ") does not begin and end on multiples of ", step, " rows"));
    }
    QuantizedView out = *this;
    out.row_range_ = stored(range);
    return out;
  }

  /// Columns [begin, end) of this view; both ends on a group boundary (the end may be the last column).
  /// Throws kBadShape.
  [[nodiscard]] QuantizedView col_slice(ColRange range) const {
    const bool aligned =
        range.begin % layout_.group_size == 0 && (range.end % layout_.group_size == 0 || range.end == cols());
    if (range.begin < 0 || range.begin >= range.end || range.end > cols() || !aligned) {
      SINQ_THROW(Errc::kBadShape,
                 detail::text("col_slice: [", range.begin, ", ", range.end, ") is not a non-empty range within ",
                              cols(), " columns on boundaries of group_size ", layout_.group_size));
    }
    QuantizedView out = *this;
    out.col_range_ = stored(range);
    return out;
  }

  /// Start of a region of the stored matrix (not of the window); null if the format has none.
  [[nodiscard]] const std::byte* region(Region region) const noexcept { return regions_[static_cast<int>(region)]; }

  /// First code byte of row r of the window, or null where rows are no streams of their own (the lane trellis).
  /// Groups start on bytes, so the window does too.
  [[nodiscard]] const std::uint8_t* codes(Index r) const noexcept {
    return detail::with_codes(layout_, [&](const auto& codes) -> const std::uint8_t* {
      if constexpr (!std::is_same_v<detail::ScalarCodes, std::decay_t<decltype(codes)>>)
        return nullptr;
      else
        return bytes(Region::kCodes) + codes.code_offset(row_range_.begin + r, col_range_.begin);
    });
  }
  /// What the codes of the stored matrix are unpacked from.
  [[nodiscard]] detail::CodeRegions code_regions() const noexcept {
    return {bytes(Region::kCodes), region(Region::kLevels)};
  }
  /// The levels [level_count] of scalar codes, or null if codes are levels or the table has bytes.
  [[nodiscard]] const float* levels() const noexcept {
    const bool has_floats = detail::level_type(layout_) == detail::LevelType::kF32;
    return has_floats ? reinterpret_cast<const float*>(region(Region::kLevels)) : nullptr;
  }
  /// The tables A, B, C [3, 16] of the lane trellis, or null.
  [[nodiscard]] const std::int8_t* byte_levels() const noexcept {
    const bool has_bytes = detail::level_type(layout_) == detail::LevelType::kI8;
    return has_bytes ? reinterpret_cast<const std::int8_t*>(region(Region::kLevels)) : nullptr;
  }

  /// Decodes the group scales of rows [begin, end) of group g (window coordinates) to `out`, without matrix_scale.
  /// Throws kBadShape where the window has no such group or rows, as the two that follow do.
  void group_scales(Index g, RowRange range, float* out) const {
    require_within("group_scales", g, groups(), range, rows());
    decode_aux(layout_.aux, AuxCurve::kLogarithmic, aux_column(Region::kGroupScale, Region::kGroupScaleBlocks, g),
               stored(range), out);
  }
  /// Decodes zero points, in level units, whatever the format stores.
  void zero_points(Index g, RowRange range, float* out) const {
    require_within("zero_points", g, groups(), range, rows());
    if (layout_.offset == OffsetKind::kShared) {
      std::fill(out, out + range.size(), layout_.shared_zero_point);
      return;
    }
    decode_aux(layout_.aux, AuxCurve::kLinear, aux_column(Region::kOffset, Region::kOffsetBlocks, g), stored(range),
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
