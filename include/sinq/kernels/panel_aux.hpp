#pragma once

#include <sinq/detail/simd_math.hpp>
#include <sinq/kernels/level_table.hpp>
#include <sinq/kernels/repack.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Aux values of one or several groups for 16 rows, as stored: 16 consecutive values of each kind and group.
struct PanelAux {
  AuxFormat format = AuxFormat::kF16;
  OffsetKind offset = OffsetKind::kShared;
  float shared_zero_point = 0.0F;
  const std::byte* scales = nullptr;
  const std::byte* offsets = nullptr;
  const std::byte* scale_block = nullptr;   ///< 8- and 6-bit aux only
  const std::byte* offset_block = nullptr;  ///< 8- and 6-bit aux only
  Index value_stride = 0;                   ///< bytes between the values of consecutive groups
  Index block_stride = 0;                   ///< bytes between their parameters, 8- and 6-bit aux only
  Index block_share = 1;                    ///< consecutive groups of values that have the same parameters
};

/// One panel of a row-interleaved matrix, super-block by super-block, with all that is the same for most of them
/// computed once.
class PanelWalk {
 public:
  PanelWalk(const RepackedView& view, Index panel) noexcept
      : count_(view.geometry().super_blocks), stride_(view.geometry().super_bytes), base_(view.super_block(panel, 0)) {
    const PanelGeometry& geometry = view.geometry();
    whole_ = Shape::of(geometry, 0);
    last_ = Shape::of(geometry, count_ - 1);
    const std::byte* block = view.aux_blocks(panel, 0);
    const Index block_stride = geometry.aux_kinds * Index{sizeof(AuxBlock)};
    aux_ = {view.layout().aux,
            view.layout().offset,
            view.layout().shared_zero_point,
            nullptr,
            nullptr,
            block,
            block == nullptr ? nullptr : block + sizeof(AuxBlock),
            geometry.aux_row_bytes,
            block == nullptr ? 0 : block_stride};
    go_to(0);
  }

  [[nodiscard]] bool done() const noexcept { return super_ == count_; }
  void next() noexcept { go_to(super_ + 1); }
  void go_to(Index super) noexcept {
    const Index step = super - super_;
    super_ = super;
    base_ += step * stride_;
    if (aux_.block_stride != 0) {
      aux_.scale_block += step * kSuperGroups * aux_.block_stride;
      aux_.offset_block += step * kSuperGroups * aux_.block_stride;
    }
    const Shape& shape = super + 1 == count_ ? last_ : whole_;
    aux_.scales = reinterpret_cast<const std::byte*>(base_) + shape.code_bytes;
    aux_.offsets = aux_.scales + shape.scale_bytes;
    groups_ = shape.groups;
    aux_bytes_ = shape.aux_bytes;
  }

  [[nodiscard]] const std::uint8_t* lines() const noexcept { return base_; }
  [[nodiscard]] const PanelAux& aux() const noexcept { return aux_; }
  [[nodiscard]] Index aux_bytes() const noexcept { return aux_bytes_; }
  [[nodiscard]] Index groups() const noexcept { return groups_; }

 private:
  struct Shape {
    Index groups = 0;
    Index code_bytes = 0;
    Index scale_bytes = 0;
    Index aux_bytes = 0;
    static Shape of(const PanelGeometry& geometry, Index super) noexcept {
      const Index groups = geometry.group_count(super);
      return {groups, geometry.code_bytes(super), groups * geometry.aux_row_bytes, geometry.aux_bytes_of(super)};
    }
  };

  Index count_ = 0;
  Index stride_ = 0;
  Index super_ = 0;
  const std::uint8_t* base_ = nullptr;
  Index groups_ = 0;
  Index aux_bytes_ = 0;
  PanelAux aux_;
  Shape whole_;
  Shape last_;
};

[[nodiscard]] inline PanelAux panel_aux(const RepackedView& view, Index panel, Index group) noexcept {
  const PanelGeometry& geometry = view.geometry();
  const Index super = group / kSuperGroups;
  const auto* base = reinterpret_cast<const std::byte*>(view.super_block(panel, super));
  const std::byte* block = view.aux_blocks(panel, group);
  return {view.layout().aux,
          view.layout().offset,
          view.layout().shared_zero_point,
          base + geometry.scale_offset(super, group % kSuperGroups),
          base + geometry.offset_offset(super, group % kSuperGroups),
          block,
          block == nullptr ? nullptr : block + sizeof(AuxBlock)};
}

/// Panels of a row-major matrix are counted in stored rows, so that none straddles two blocks of 8-bit aux.
[[nodiscard]] inline PanelAux panel_aux(const QuantizedView& view, Index panel, Index group) noexcept {
  const Layout& layout = view.layout();
  const Index stored_group = view.first_group() + group;
  const Index value = stored_group * aux_bytes(layout.aux, layout.rows) + aux_bytes(layout.aux, panel * kPanelRows);
  const Index block =
      (stored_group * sinq::aux_blocks(layout.rows) + panel * kPanelRows / kAuxBlockRows) * Index{sizeof(AuxBlock)};
  const auto at = [&](Region region, Index offset) {
    const std::byte* p = view.region(region);
    return p == nullptr ? nullptr : p + offset;
  };
  return {layout.aux,
          layout.offset,
          layout.shared_zero_point,
          at(Region::kGroupScale, value),
          at(Region::kOffset, value),
          at(Region::kGroupScaleBlocks, block),
          at(Region::kOffsetBlocks, block),
          aux_bytes(layout.aux, layout.rows),
          has_aux_blocks(layout.aux) ? sinq::aux_blocks(layout.rows) * Index{sizeof(AuxBlock)} : 0};
}

/// Aux of a panel that ends behind the last row, copied so that 16 values of each kind may be read.
struct PaddedAux {
  alignas(64) std::byte scales[kPanelRows * 4] = {};
  alignas(64) std::byte offsets[kPanelRows * 4] = {};

  [[nodiscard]] PanelAux pad(PanelAux aux, Index rows) noexcept {
    const auto size = static_cast<std::size_t>(sinq::aux_bytes(aux.format, rows));
    std::memcpy(scales, aux.scales, size);
    aux.scales = scales;
    if (aux.offsets != nullptr && aux.offset != OffsetKind::kShared) {
      std::memcpy(offsets, aux.offsets, size);
      aux.offsets = offsets;
    }
    return aux;
  }
};

template <class Tag>
struct PanelAffine;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/panel_affine_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>
