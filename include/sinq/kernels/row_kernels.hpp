#pragma once

#include <sinq/executor.hpp>
#include <sinq/kernels/dot_isa.hpp>
#include <sinq/kernels/panel_matvec.hpp>
#include <sinq/kernels/row_matvec.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/tile.hpp>
#include <sinq/kernels/weights.hpp>

#include <algorithm>
#include <type_traits>

namespace sinq::inline SINQ_ABI {

/// What happens to the old values of y.
enum class Output : std::uint8_t {
  kOverwrite,   ///< y = W x
  kAccumulate,  ///< y += W x
};

namespace detail {

/// Where results go: y[batch][rows of the window], `stride` floats from one activation's results to the next.
struct ResultView {
  float* y = nullptr;
  Index stride = 0;
  Output output = Output::kOverwrite;

  void put(Index b, Index row, const float* values, Index count) const noexcept {
    float* const to = y + b * stride + row;
    if (output == Output::kOverwrite) {
      std::copy(values, values + count, to);
    } else {
      for (Index i = 0; i < count; ++i) to[i] += values[i];
    }
  }
};

/// Calls f(panel, stored rows, plane) for pieces of `rows` (of the window): at most `step` rows from the start of a
/// panel on, all in one row block.
template <class View, class F>
void for_each_piece(const View& view, const ScaledInput& in, RowRange rows, Index step, F f) noexcept {
  const Index shift = first_stored_row(view);
  const Index row_block = view.layout().row_block;
  const Index first_block = shift / row_block;
  const Index end = rows.end + shift;
  for (Index row = rows.begin + shift; row < end;) {
    const Index panel = row / kPanelRows;
    Index stop = std::min(end, panel * kPanelRows + step);
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
      if (view.layout().vector_dim != 1) return matmul_rows<FloatTag, 1>(view, in, rows, result);
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

/// Whether interleaved vector codes were multiplied by the kernels that they carry.
[[nodiscard]] inline bool multiply_vectors(const QuantizedView&, const ScaledInput&, RowRange, const ResultView&, Isa) {
  return false;
}
[[nodiscard]] inline bool multiply_vectors(const RepackedView& view, const ScaledInput& in, RowRange rows,
                                           const ResultView& result, Isa limit) {
  if (view.layout().vector_dim == 1) return false;
  view.vectors()->multiply(view, in, rows, result, limit);
  return true;
}

/// Splits all rows of a matrix over the workers of an executor; results do not depend on their number.
template <Executor E, class F>
void for_each_share(Index rows, const E& executor, F f) {
  const Index workers = worker_count(executor);
  const Index shares = workers == 1 ? 1 : 4 * workers;
  const Index step = round_up(ceil_div(rows, shares), 2 * kPanelRows);
  run_tasks(executor, ceil_div(rows, step), [&](Index share, Index) {
    f(RowRange{share * step, std::min(rows, (share + 1) * step)});
  });
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
