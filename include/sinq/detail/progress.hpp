#pragma once

#include <sinq/detail/executor_ref.hpp>
#include <sinq/error.hpp>
#include <sinq/progress.hpp>

#include <atomic>
#include <mutex>

namespace sinq::inline SINQ_ABI::detail {

/// Counts the tasks of one round of a call, and asks the caller whether to go on.
class Progress {
 public:
  Progress(const ProgressCallback& callback, Index total) : callback_(callback), total_(total) {}

  /// Tasks that come after a "no" do nothing.
  [[nodiscard]] bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

  /// One task is done. Called from any thread.
  void advance() {
    const Index count = done_.fetch_add(1) + 1;
    if (!callback_) return;
    const std::lock_guard<std::mutex> guard(lock_);
    if (callback_(count, total_) == ProgressAction::kCancel) cancelled_.store(true);
  }

  /// Throws Errc::kCancelled after a "no".
  void require_going_on() const {
    if (cancelled_.load()) SINQ_THROW(Errc::kCancelled, "quantize: cancelled by the progress callback");
  }

 private:
  const ProgressCallback& callback_;
  Index total_;
  std::atomic<Index> done_{0};
  std::atomic<bool> cancelled_{false};
  std::mutex lock_;
};

/// Runs `count` tasks f(task, worker) of a round.
template <class F>
void run_with_progress(const ExecutorRef& executor, Index count, Progress& progress, F f) {
  run_tasks(executor, count, [&](Index task, Index worker) {
    if (progress.is_cancelled()) return;
    f(task, worker);
    progress.advance();
  });
  progress.require_going_on();
}

}  // namespace sinq::inline SINQ_ABI::detail
