#pragma once

#include <sinq/types.hpp>

#include <concepts>

namespace sinq::inline SINQ_ABI {

/// Runs `task(index, worker)` for every index in [0, count), in any order, on up to `concurrency()` threads at once;
/// `worker` in [0, concurrency()) names the thread. `run` returns when all are done. Tasks do not throw.
template <class E>
concept Executor = requires(const E& e, void (*task)(Index, Index)) {
  { e.concurrency() } -> std::convertible_to<Index>;
  e.run(Index{}, task);
};

/// The calling thread alone: the default everywhere.
struct Serial {
  [[nodiscard]] Index concurrency() const noexcept { return 1; }
  template <class Task>
  void run(Index count, Task&& task) const {
    for (Index i = 0; i < count; ++i) task(i, Index{0});
  }
};

}  // namespace sinq::inline SINQ_ABI
