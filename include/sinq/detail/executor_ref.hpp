#pragma once

#include <sinq/executor.hpp>

#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// An executor whose type its user need not know, so that what runs on it is compiled once and not once per executor.
/// Refers to the executor.
class ExecutorRef {
 public:
  template <Executor E>
  requires(!std::same_as<E, ExecutorRef>) explicit ExecutorRef(const E& executor)
      : executor_(&executor), concurrency_(static_cast<Index>(executor.concurrency())), run_(&run_on<E>) {}

  [[nodiscard]] Index concurrency() const noexcept { return concurrency_; }
  template <class Task>
  void run(Index count, Task&& task) const {
    using T = std::remove_reference_t<Task>;
    run_(executor_, count, {&task, [](void* t, Index index, Index worker) { (*static_cast<T*>(t))(index, worker); }});
  }

 private:
  struct TaskRef {
    void* task;
    void (*call)(void*, Index, Index);
    void operator()(Index index, Index worker) const { call(task, index, worker); }
  };

  template <class E>
  static void run_on(const void* executor, Index count, TaskRef task) {
    static_cast<const E*>(executor)->run(count, task);
  }

  const void* executor_;
  Index concurrency_;
  void (*run_)(const void*, Index, TaskRef);
};

}  // namespace sinq::inline SINQ_ABI::detail
