#pragma once

#include <sinq/detail/simd_double.hpp>
#include <sinq/executor.hpp>
#include <sinq/types.hpp>

#include <algorithm>

namespace sinq::inline SINQ_ABI::detail {

/// Products of tall matrices of doubles, tile by tile in registers.
template <class Tag>
struct SymmetricUpdate;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/calibration/symmetric_update_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Adds factor * P P^T to the lower triangle of `c` [size, size]; the upper one is neither read nor written. P is
/// [size, depth], without gaps. The same bits for every number of threads.
template <Executor E>
void add_symmetric_product(double* c, Index stride, Index size, const double* p, Index depth, double factor, Isa limit,
                           const E& executor) {
  dispatch(limit, [&](auto tag) {
    using Kernel = SymmetricUpdate<decltype(tag)>;
    constexpr Index kRowsPerTask = 64;
    static_assert(kRowsPerTask % Kernel::kPanel == 0);
    Vector<double> panels(static_cast<std::size_t>(round_up(size, Kernel::kPanel) * depth));
    const Index tasks = ceil_div(size, kRowsPerTask);
    const auto rows_of = [&](Index task) -> RowRange {
      return {task * kRowsPerTask, std::min((task + 1) * kRowsPerTask, size)};
    };
    run_tasks(executor, tasks,
              [&](Index task, Index) { Kernel::pack(p, rows_of(task), depth, factor, panels.data()); });
    // The last rows are the longest: first, so that no thread is left alone with one.
    run_tasks(executor, tasks, [&](Index task, Index) {
      Kernel::add_rows(c, stride, rows_of(tasks - 1 - task), p, depth, panels.data());
    });
  });
}

}  // namespace sinq::inline SINQ_ABI::detail
