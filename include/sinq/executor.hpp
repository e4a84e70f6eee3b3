#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <atomic>
#include <concepts>
#include <exception>

namespace sinq::inline SINQ_ABI {

/// Runs `task(index, worker)` for every index in [0, count), in any order, on up to `concurrency()` threads at once;
/// `worker` in [0, concurrency()) names the thread. `run` returns when all are done. The library's own tasks let no
/// exception out: it rethrows the first one itself, when `run` has returned.
template <class E>
concept Executor = requires(const E& e, void (*task)(Index, Index)) {
  { e.concurrency() } -> std::convertible_to<Index>;
  e.run(Index{}, task);
};

namespace detail {

/// Keeps what tasks throw away from the threads that run them: of all exceptions that of the lowest index, so that the
/// message does not depend on who was faster.
class FirstException {
 public:
  template <class Task>
  void run(Task& task, Index index, Index worker) noexcept {
#if defined(__cpp_exceptions)
    try {
      task(index, worker);
    } catch (...) {
      keep(index);
    }
#else
    task(index, worker);
#endif
  }
  /// Throws it, if there was one.
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  void keep(Index index) noexcept {
    while (lock_.test_and_set(std::memory_order_acquire)) {
    }
    if (!exception_ || index < index_) {
      exception_ = std::current_exception();
      index_ = index;
    }
    lock_.clear(std::memory_order_release);
  }

  std::atomic_flag lock_;
  std::exception_ptr exception_;
  Index index_ = 0;
};

/// The executor's concurrency. Throws Errc::kBadConfig if that is no number of threads.
template <Executor E>
[[nodiscard]] Index worker_count(const E& executor) {
  const auto workers = static_cast<Index>(executor.concurrency());
  if (workers < 1) SINQ_THROW(Errc::kBadConfig, text("executor: concurrency ", workers, " is not at least 1"));
  return workers;
}

/// Runs all tasks on `executor`, to the end; the exception of the lowest index is then thrown here. Throws
/// Errc::kBadConfig if the executor breaks its contract.
template <Executor E, class Task>
void run_tasks(const E& executor, Index count, Task&& task) {
  const Index workers = worker_count(executor);
  FirstException exception;
  const auto checked = [&](Index index, Index worker) {
    if (worker < 0 || worker >= workers) {
      SINQ_THROW(Errc::kBadConfig, text("executor: worker ", worker, " is not within concurrency ", workers));
    }
    task(index, worker);
  };
  executor.run(count, [&](Index index, Index worker) { exception.run(checked, index, worker); });
  exception.rethrow();
}

}  // namespace detail

/// The calling thread alone: the default everywhere.
struct Serial {
  [[nodiscard]] Index concurrency() const noexcept { return 1; }
  /// All tasks run, whatever they throw; the first exception is thrown here.
  template <class Task>
  void run(Index count, Task&& task) const {
    detail::FirstException exception;
    for (Index i = 0; i < count; ++i) exception.run(task, i, Index{0});
    exception.rethrow();
  }
};

}  // namespace sinq::inline SINQ_ABI
