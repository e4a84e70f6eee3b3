#pragma once

#ifdef _OPENMP

#include <sinq/executor.hpp>

#include <omp.h>

namespace sinq::inline SINQ_ABI {

/// An executor on OpenMP's threads (compile with -fopenmp). Inside a parallel region of the caller it stays on the
/// calling thread, as OpenMP does by default.
struct OpenMp {
  [[nodiscard]] Index concurrency() const noexcept { return omp_in_parallel() != 0 ? 1 : omp_get_max_threads(); }

  /// All tasks run, whatever they throw; the exception of the lowest index is thrown here.
  template <class Task>
  void run(Index count, Task&& task) const {
    detail::FirstException exception;
    const int threads = static_cast<int>(concurrency());
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (Index i = 0; i < count; ++i) {
      exception.run(task, i, static_cast<Index>(threads == 1 ? 0 : omp_get_thread_num()));
    }
    exception.rethrow();
  }
};
static_assert(Executor<OpenMp>);

}  // namespace sinq::inline SINQ_ABI

#endif
