#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/zeroed_bytes.hpp>
#include <sinq/error.hpp>
#include <sinq/kernels/panel_format.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace sinq::inline SINQ_ABI {

/// A row-interleaved quantized matrix in memory that somebody else owns (a `RepackedMatrix`, a mapped file): the layout
/// that kernels stream at the speed of memory. Cheap to copy; reading from several threads is safe.
class RepackedView {
 public:
  RepackedView() = default;

  /// From one pointer per region (null where the region is empty).
  /// Throws kBadConfig / kBadShape / kUnsupported.
  RepackedView(const Layout& layout, const std::byte* const (&regions)[kPanelRegionCount]) : layout_(layout) {
    check(layout);
    for (int i = 0; i < kPanelRegionCount; ++i) {
      if (regions[i] == nullptr && panel_region_bytes(layout, static_cast<PanelRegion>(i)) != 0) {
        SINQ_THROW(Errc::kBadShape, detail::text("RepackedView: region ", i, " is null but not empty"));
      }
      regions_[i] = regions[i];
    }
    geometry_ = PanelGeometry(layout);
  }

  /// From one buffer of at least `panel_storage_bytes(layout)`. Throws kBadConfig / kBadShape / kUnsupported.
  [[nodiscard]] static RepackedView from_buffer(const Layout& layout, std::span<const std::byte> buffer) {
    check(layout);
    if (static_cast<Index>(buffer.size()) < panel_storage_bytes(layout)) {
      SINQ_THROW(Errc::kBadShape, detail::text("RepackedView: buffer has ", buffer.size(), " bytes, the layout needs ",
                                               panel_storage_bytes(layout)));
    }
    const std::byte* regions[kPanelRegionCount];
    for (int i = 0; i < kPanelRegionCount; ++i) {
      const auto region = static_cast<PanelRegion>(i);
      const bool empty = panel_region_bytes(layout, region) == 0;
      regions[i] = empty ? nullptr : buffer.data() + panel_region_offset(layout, region);
    }
    return {layout, regions};
  }

  /// Throws kUnsupported for codes that have no row-interleaved order: kernels run those as they are.
  static void check(const Layout& layout) {
    validate(layout);
    if (can_repack(layout)) return;
    SINQ_THROW(Errc::kUnsupported,
               "repack: these codes have no row-interleaved order: give matvec and matmul the matrix as it is");
  }

  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] const PanelGeometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] Index rows() const noexcept { return layout_.rows; }
  [[nodiscard]] Index cols() const noexcept { return layout_.cols; }
  [[nodiscard]] Index groups() const noexcept { return geometry_.groups; }
  [[nodiscard]] const std::byte* region(PanelRegion region) const noexcept {
    return regions_[static_cast<int>(region)];
  }

  /// First byte of a super-block of 16 rows.
  [[nodiscard]] const std::uint8_t* super_block(Index panel, Index super) const noexcept {
    return reinterpret_cast<const std::uint8_t*>(region(PanelRegion::kPanels)) + panel * geometry_.panel_bytes +
           super * geometry_.super_bytes;
  }
  /// Scale parameters of 8- or 6-bit aux for a panel and group; those of the offsets follow. Null in other formats.
  [[nodiscard]] const std::byte* aux_blocks(Index panel, Index group) const noexcept {
    if (!has_aux_blocks(layout_.aux)) return nullptr;
    const Index block = panel * kPanelRows / kAuxBlockRows;
    return region(PanelRegion::kAuxBlocks) +
           (block * geometry_.groups + group) * geometry_.aux_kinds * Index{sizeof(AuxBlock)};
  }
  /// The levels [level_count], or null.
  [[nodiscard]] const float* levels() const noexcept {
    return reinterpret_cast<const float*>(region(PanelRegion::kLevels));
  }

 private:
  Layout layout_;
  PanelGeometry geometry_;
  const std::byte* regions_[kPanelRegionCount] = {};
};

/// A row-interleaved quantized matrix that owns its bytes: one cache-line aligned buffer. Move-only;
/// when moved from it is like a new one, 0 x 0.
class RepackedMatrix {
 public:
  RepackedMatrix() = default;
  /// Zeroed storage for `layout`. Throws kBadConfig / kBadShape / kUnsupported.
  explicit RepackedMatrix(const Layout& layout) : layout_(layout) {
    RepackedView::check(layout);
    storage_ = detail::ZeroedBytes(panel_storage_bytes(layout), "RepackedMatrix");
  }

  [[nodiscard]] const Layout& layout() const noexcept { return *layout_; }
  [[nodiscard]] Index rows() const noexcept { return layout_->rows; }
  [[nodiscard]] Index cols() const noexcept { return layout_->cols; }
  [[nodiscard]] std::span<std::byte> storage() noexcept { return storage_.bytes(); }
  [[nodiscard]] std::span<const std::byte> storage() const noexcept { return storage_.bytes(); }
  [[nodiscard]] RepackedView view() const& { return RepackedView::from_buffer(*layout_, storage()); }
  RepackedView view() && = delete;  // the bytes would die with the temporary
  operator RepackedView() const& { return view(); }
  operator RepackedView() && = delete;

 private:
  detail::ClearedOnMove<Layout> layout_;
  detail::ZeroedBytes storage_;
};

namespace detail {

/// Rows of panel `panel` that the matrix has: 16 but for the last.
[[nodiscard]] inline Index panel_row_count(Index rows, Index panel) noexcept {
  return std::min(kPanelRows, rows - panel * kPanelRows);
}

}  // namespace detail

/// The window's matrix in row-interleaved order; no bit is lost (`to_row_major` gives it back).
/// Throws kUnsupported for codes that `RepackedView::check` refuses, and for windows that start inside a row block or,
/// with 8- or 6-bit aux, at a row that is no multiple of 64.
[[nodiscard]] SINQ_DECL RepackedMatrix repack(const QuantizedView& view);

/// Of a whole matrix, which may be a temporary: nothing of it is referred to later.
[[nodiscard]] inline RepackedMatrix repack(const QuantizedMatrix& q) { return repack(q.view()); }

/// The matrix in row-major order again: the bytes that `repack` was given.
[[nodiscard]] SINQ_DECL QuantizedMatrix to_row_major(const RepackedView& view);

/// Of a matrix that may be a temporary.
[[nodiscard]] inline QuantizedMatrix to_row_major(const RepackedMatrix& m) { return to_row_major(m.view()); }

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(RUN)
#include <sinq/kernels/unit_mover.hpp>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// The layout of a window as a matrix of its own. Throws kUnsupported where its parts do not fall on boundaries.
[[nodiscard]] inline Layout window_layout(const QuantizedView& view) {
  if (view.rows() < 1) SINQ_THROW(Errc::kBadShape, "repack: the matrix has no rows: it was never assigned");
  Layout layout = view.layout();
  const Index first = view.row_range().begin;
  const Index last = view.row_range().end - 1;
  const bool one_block = first / layout.row_block == last / layout.row_block;
  if (!one_block && first % layout.row_block != 0) {
    SINQ_THROW(Errc::kUnsupported,
               detail::text("repack: the window starts at row ", first, ", not on a boundary of row_block ",
                            layout.row_block, ": start it at a multiple, or run it row-major, without repack"));
  }
  if (has_aux_blocks(layout.aux) && first % kAuxBlockRows != 0) {
    SINQ_THROW(Errc::kUnsupported,
               detail::text("repack: the window starts at row ", first, ", 8- and 6-bit aux need a multiple of ",
                            kAuxBlockRows, ": start it there, or run it row-major, without repack"));
  }
  layout.row_block = one_block ? view.rows() : layout.row_block;
  layout.rows = view.rows();
  layout.cols = view.cols();
  return layout;
}

/// Codes of `count` rows of a super-block from row-major order ...
inline void codes_to_panel(const QuantizedView& view, const PanelGeometry& geometry, Index panel, Index super,
                           Index count, std::byte* base) noexcept {
  with_bits(view.layout().bits, [&](auto bits) {
    for (Index r = 0; r < count; ++r) {
      UnitMover<bits>{geometry}.to_panel(view.codes(panel * kPanelRows + r), super, base + 4 * r);
    }
  });
}
/// ... and back to it.
inline void codes_to_rows(const RepackedView& view, Index panel, Index super, std::uint8_t* codes) noexcept {
  const Layout& layout = view.layout();
  const auto* const base = reinterpret_cast<const std::byte*>(view.super_block(panel, super));
  with_bits(layout.bits, [&](auto bits) {
    for (Index r = 0; r < panel_row_count(layout.rows, panel); ++r) {
      UnitMover<bits>{view.geometry()}.to_row(base + 4 * r, super,
                                              codes + ScalarCodes(layout).code_offset(panel * kPanelRows + r, 0));
    }
  });
}

}  // namespace detail

SINQ_DECL RepackedMatrix repack(const QuantizedView& view) {
  RepackedMatrix out(detail::window_layout(view));
  const Layout& layout = out.layout();
  const PanelGeometry geometry(layout);
  std::byte* const storage = out.storage().data();
  const auto at = [&](PanelRegion r) { return storage + panel_region_offset(layout, r); };
  const Index row0 = view.row_range().begin;
  const Index group0 = view.first_group();
  const auto aux = [&](Region region, Index g, Index row) {
    return view.region(region) + (group0 + g) * aux_bytes(layout.aux, view.layout().rows) +
           aux_bytes(layout.aux, row0 + row);
  };

  for (Index panel = 0; panel < geometry.panels; ++panel) {
    const Index count = detail::panel_row_count(layout.rows, panel);
    for (Index s = 0; s < geometry.super_blocks; ++s) {
      std::byte* const base = at(PanelRegion::kPanels) + panel * geometry.panel_bytes + s * geometry.super_bytes;
      detail::codes_to_panel(view, geometry, panel, s, count, base);
      for (Index k = 0; k < geometry.group_count(s); ++k) {
        const Index g = s * kSuperGroups + k;
        const auto size = static_cast<std::size_t>(aux_bytes(layout.aux, count));
        std::memcpy(base + geometry.scale_offset(s, k), aux(Region::kGroupScale, g, panel * kPanelRows), size);
        if (geometry.aux_kinds == 2) {
          std::memcpy(base + geometry.offset_offset(s, k), aux(Region::kOffset, g, panel * kPanelRows), size);
        }
      }
    }
  }
  if (has_aux_blocks(layout.aux)) {
    constexpr Index kSize = sizeof(AuxBlock);
    const Index blocks = aux_blocks(layout.rows);
    for (Index g = 0; g < geometry.groups; ++g) {
      const Index from = ((group0 + g) * aux_blocks(view.layout().rows) + row0 / kAuxBlockRows) * kSize;
      std::byte* const to = at(PanelRegion::kAuxBlocks) + g * geometry.aux_kinds * kSize;
      const Index stride = geometry.groups * geometry.aux_kinds * kSize;
      detail::copy_strided(view.region(Region::kGroupScaleBlocks) + from, kSize, to, stride, blocks, kSize);
      if (geometry.aux_kinds == 2) {
        detail::copy_strided(view.region(Region::kOffsetBlocks) + from, kSize, to + kSize, stride, blocks, kSize);
      }
    }
  }
  if (layout.col_scale == ColScaleKind::kStored) {
    const Index size = aux_bytes(layout.col_scale_format(), 1);
    const Index first = row0 / view.layout().row_block * view.layout().cols + view.col_range().begin;
    detail::copy_strided(view.region(Region::kColScale) + first * size, view.layout().cols * size,
                         at(PanelRegion::kColScale), layout.cols * size, layout.row_blocks(), layout.cols * size);
  }
  if (layout.level_count != 0) {
    std::memcpy(at(PanelRegion::kLevels), view.region(Region::kLevels),
                static_cast<std::size_t>(panel_region_bytes(layout, PanelRegion::kLevels)));
  }
  return out;
}

SINQ_DECL QuantizedMatrix to_row_major(const RepackedView& view) {
  const Layout& layout = view.layout();
  const PanelGeometry& geometry = view.geometry();
  QuantizedMatrix out(layout);
  auto* const codes = reinterpret_cast<std::uint8_t*>(out.region(Region::kCodes).data());
  for (Index panel = 0; panel < geometry.panels; ++panel) {
    const Index first = panel * kPanelRows;
    const Index count = detail::panel_row_count(layout.rows, panel);
    for (Index s = 0; s < geometry.super_blocks; ++s) {
      const auto* const base = reinterpret_cast<const std::byte*>(view.super_block(panel, s));
      detail::codes_to_rows(view, panel, s, codes);
      for (Index k = 0; k < geometry.group_count(s); ++k) {
        const Index to = (s * kSuperGroups + k) * aux_bytes(layout.aux, layout.rows) + aux_bytes(layout.aux, first);
        const auto size = static_cast<std::size_t>(aux_bytes(layout.aux, count));
        std::memcpy(out.region(Region::kGroupScale).data() + to, base + geometry.scale_offset(s, k), size);
        if (geometry.aux_kinds == 2) {
          std::memcpy(out.region(Region::kOffset).data() + to, base + geometry.offset_offset(s, k), size);
        }
      }
    }
  }
  if (has_aux_blocks(layout.aux)) {
    constexpr Index kSize = sizeof(AuxBlock);
    const Index blocks = aux_blocks(layout.rows);
    const Index stride = geometry.groups * geometry.aux_kinds * kSize;
    for (Index g = 0; g < geometry.groups; ++g) {
      const std::byte* const from = view.aux_blocks(0, g);
      const Index to = g * blocks * kSize;
      detail::copy_strided(from, stride, out.region(Region::kGroupScaleBlocks).data() + to, kSize, blocks, kSize);
      if (geometry.aux_kinds == 2) {
        detail::copy_strided(from + kSize, stride, out.region(Region::kOffsetBlocks).data() + to, kSize, blocks, kSize);
      }
    }
  }
  const auto copy = [&](PanelRegion from, Region to) {
    if (!out.region(to).empty()) std::memcpy(out.region(to).data(), view.region(from), out.region(to).size());
  };
  copy(PanelRegion::kColScale, Region::kColScale);
  copy(PanelRegion::kLevels, Region::kLevels);
  return out;
}

}  // namespace sinq::inline SINQ_ABI
#endif
