#pragma once

#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/multiply.hpp>
#include <sinq/kernels/panel_matvec.hpp>
#include <sinq/kernels/row_matvec.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/tile.hpp>
#include <sinq/kernels/weights.hpp>

#include <algorithm>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Calls f(panel, stored rows, plane) for pieces of `rows` (of the window): at most `step` rows from the start of a
/// panel on, all in one row block.
template <Index PanelRows = kPanelRows, class View, class F>
void for_each_piece(const View& view, const ScaledInput& in, RowRange rows, Index step, F f) noexcept {
  const Index shift = first_stored_row(view);
  const Index row_block = view.layout().row_block;
  const Index first_block = shift / row_block;
  const Index end = rows.end + shift;
  for (Index row = rows.begin + shift; row < end;) {
    const Index panel = row / PanelRows;
    Index stop = std::min(end, panel * PanelRows + step);
    const Index block = in.planes() == 1 ? first_block : row / row_block;
    if (in.planes() > 1) stop = std::min(stop, (block + 1) * row_block);
    f(panel, RowRange{row, stop}, block - first_block);
    row = stop;
  }
}

/// `Batch`: see TileMultiply.
template <class Tag, int Batch, class View>
void matmul_rows(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result) noexcept {
  using Kernel = TileMultiply<Tag>;
  const Levels levels(view.layout(), view.levels(), in.level_table(), in.view(0).digits, Dot<Tag>::kMaxCode);
  const Index shift = first_stored_row(view);
  alignas(64) float out[Kernel::kMaxBatch * Kernel::kRows];
  for_each_piece(view, in, rows, Kernel::kRows, [&](Index panel, RowRange stored, Index plane) {
    const InputView x = in.view(plane);
    const auto panels = static_cast<int>(ceil_div(stored.end - panel * kPanelRows, kPanelRows));
    for (Index first = 0; first < in.batch(); first += Kernel::kMaxBatch) {
      const Index count = std::min(in.batch() - first, Kernel::kMaxBatch);
      Kernel::template run<Batch>(view, panel, panels, x, first, count, levels, out);
      for (Index b = 0; b < count; ++b) {
        result.put(first + b, stored.begin - shift, out + b * Kernel::kRows + (stored.begin - panel * kPanelRows),
                   stored.size());
      }
    }
  });
}

template <class Tag, class View>
void matvec_rows(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result) noexcept {
  // Without vectors the detour over a tile costs nothing.
  if constexpr (std::is_same_v<Tag, isa::Portable>) {
    matmul_rows<Tag, 1>(view, in, rows, result);
  } else {
    // Floats need no byte dot products, and no second copy of a kernel.
    using FloatTag = typename Dot<Tag>::SimdTag;
    const Levels levels(view.layout(), view.levels(), in.level_table(), in.view(0).digits, Dot<Tag>::kMaxCode);
    const bool is_float = in.precision() == Precision::kFloat;
    const Index shift = first_stored_row(view);
    alignas(64) float out[kPanelRows];
    if constexpr (std::is_same_v<View, QuantizedView>) {
      if (!ScalarCodes::holds(view.layout())) return matmul_rows<FloatTag, 1>(view, in, rows, result);
      for_each_piece(view, in, rows, kPanelRows, [&](Index, RowRange stored, Index plane) {
        if (is_float) {
          RowMatvec<FloatTag>::run_floats(view, stored, in.view(plane), levels, out);
        } else {
          RowMatvec<Tag>::run_integers(view, stored, in.view(plane), levels, out);
        }
        result.put(0, stored.begin - shift, out, stored.size());
      });
    } else {
      if (!PanelMatvec<Tag>::handles(view.layout())) return matmul_rows<Tag, 1>(view, in, rows, result);
      for_each_piece(view, in, rows, kPanelRows, [&](Index panel, RowRange stored, Index plane) {
        if (is_float) {
          PanelMatvec<FloatTag>::run_floats(view, panel, in.view(plane), levels, out);
        } else {
          PanelMatvec<Tag>::run_integers(view, panel, in.view(plane), levels, out);
        }
        result.put(0, stored.begin, out + (stored.begin - panel * kPanelRows), stored.size());
      });
    }
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
