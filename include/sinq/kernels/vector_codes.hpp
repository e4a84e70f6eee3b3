#pragma once

#include <sinq/compiled.hpp>
#include <sinq/kernels/vector_kernels.hpp>

#if SINQ_COMPILED
namespace sinq::inline SINQ_ABI::detail {
extern const VectorKernels kVectorKernels;
}  // namespace sinq::inline SINQ_ABI::detail
#endif

#if SINQ_HAS_BODIES(VECTORS)
#include <sinq/kernels/row_kernels.hpp>
#include <sinq/kernels/vector_decoder.hpp>
#include <sinq/kernels/vector_matvec.hpp>
#include <sinq/kernels/vector_mover.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct VectorTile;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/kernels/vector_tile_kernel.hpp>
#include <sinq/kernels/for_each_dot.hpp>

namespace sinq::inline SINQ_ABI {
namespace detail {

/// A row-interleaved matrix of vector codes, for the kernels that multiply decoded tiles.
struct VectorPanels : RepackedView {
  template <class Tag>
  using Tile = VectorTile<Tag>;
};

inline void vectors_to_panel(const QuantizedView& view, const PanelGeometry& geometry, Index panel, Index super,
                             Index count, std::byte* base) noexcept {
  with_vector_bits(view.layout().bits, [&](auto bits) {
    for (Index r = 0; r < count; ++r) {
      const Index row = panel * kPanelRows + r;
      VectorMover<bits>{geometry}.to_panel(view.codes(row), view.signs(row), super, base + 4 * r);
    }
  });
}
inline void vectors_to_rows(const RepackedView& view, Index panel, Index super, std::uint8_t* codes,
                            std::uint8_t* signs) noexcept {
  const Layout& layout = view.layout();
  const VectorCodes streams(layout);
  const auto* const base = reinterpret_cast<const std::byte*>(view.super_block(panel, super));
  with_vector_bits(layout.bits, [&](auto bits) {
    for (Index r = 0; r < panel_row_count(layout.rows, panel); ++r) {
      const Index row = panel * kPanelRows + r;
      VectorMover<bits>{view.geometry()}.to_row(base + 4 * r, super, codes + streams.code_offset(row, 0),
                                                signs + streams.sign_offset(row, 0));
    }
  });
}

/// Vector codes of `view` times `in`: integers times one vector as they are, all else over decoded tiles.
template <class Tag>
void vector_rows(const RepackedView& view, const ScaledInput& in, RowRange rows, const ResultView& result) noexcept {
  const VectorPanels panels{view};
  if (in.batch() != 1) return matmul_rows<Tag, Dot<Tag>::kBatchTile>(panels, in, rows, result);
  if constexpr (std::is_same_v<Tag, isa::Portable>) {
    matmul_rows<Tag, 1>(panels, in, rows, result);
  } else {
    if (in.precision() == Precision::kFloat) {
      return matmul_rows<typename Dot<Tag>::SimdTag, 1>(panels, in, rows, result);
    }
    alignas(64) float out[kPanelRows];
    for_each_piece(view, in, rows, kPanelRows, [&](Index panel, RowRange stored, Index plane) {
      VectorMatvec<Tag>::run_integers(view, panel, in.view(plane), out);
      result.put(0, stored.begin, out + (stored.begin - panel * kPanelRows), stored.size());
    });
  }
}

#if SINQ_COMPILED
const VectorKernels kVectorKernels
#else
inline constexpr VectorKernels kVectorKernels
#endif
    {&vectors_to_panel, &vectors_to_rows,
     [](const RepackedView& view, const ScaledInput& x, RowRange rows, const ResultView& result, DotKind kind) {
       dispatch_dot(kind, [&](auto tag) { vector_rows<decltype(tag)>(view, x, rows, result); });
     }};

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI
#endif

namespace sinq::inline SINQ_ABI {

/// The last argument of `repack`, `RepackedView` and `RepackedMatrix` for vector codes.
inline constexpr const VectorKernels* kVectorCodes = &detail::kVectorKernels;

}  // namespace sinq::inline SINQ_ABI
