#pragma once

#include <sinq/compiled.hpp>
#include <sinq/executor.hpp>
#include <sinq/kernels/dot_kind.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/weights.hpp>

#include <algorithm>
#include <cstdint>
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

/// Rows of a matrix times one vector (`in` is a batch of one), or times a batch: the kernels behind matvec and matmul.
/// Templates, so that a file compiles those of the views that it calls them with.
template <class View>
void multiply_vector(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result, DotKind kind);
template <class View>
void multiply_batch(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result, DotKind kind);

/// Rows that kernels take together at most.
template <class View>
[[nodiscard]] Index rows_of_share(const View&) noexcept {
  return std::is_same_v<View, TrellisView> ? TrellisGeometry::kPanelRows : 2 * kPanelRows;
}

/// Splits all rows of a matrix over the workers of an executor; results do not depend on their number.
template <class View, Executor E, class F>
void for_each_share(const View& view, const E& executor, F f) {
  const Index workers = worker_count(executor);
  const Index shares = workers == 1 ? 1 : 4 * workers;
  const Index rows = view.rows();
  const Index step = round_up(ceil_div(rows, shares), rows_of_share(view));
  run_tasks(executor, ceil_div(rows, step), [&](Index share, Index) {
    f(RowRange{share * step, std::min(rows, (share + 1) * step)});
  });
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(MULTIPLY)
#include <sinq/kernels/row_kernels.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class View>
void multiply_vector(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result, DotKind kind) {
  dispatch_dot(kind, [&](auto tag) { matvec_rows<decltype(tag)>(view, in, rows, result); });
}

template <class View>
void multiply_batch(const View& view, const ScaledInput& in, RowRange rows, const ResultView& result, DotKind kind) {
  dispatch_dot(kind, [&](auto tag) {
    using Tag = decltype(tag);
    matmul_rows<Tag, Dot<Tag>::kBatchTile>(view, in, rows, result);
  });
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
