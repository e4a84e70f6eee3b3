#pragma once

#include <sinq/error.hpp>
#include <sinq/executor.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace sinq::inline SINQ_ABI {

/// An executor of standard threads, started once and kept. The calling thread works too, so a pool of n starts n - 1.
/// One `run` at a time: a call from inside a task, or while another thread's `run` is under way, does its work on the
/// calling thread alone instead of waiting or starting more threads.
class ThreadPool {
 public:
  /// `threads` in all; 0 means as many as the machine has. Throws Errc::kBadConfig below 0, std::system_error if the
  /// system has no thread left.
  explicit ThreadPool(Index threads = 0) : ThreadPool(Checked{}, threads) {
    // From here on an exception calls the destructor, which joins the threads that did start.
    threads_.reserve(static_cast<std::size_t>(concurrency_ - 1));
    for (Index worker = 1; worker < concurrency_; ++worker) {
      threads_.emplace_back([this, worker] { serve(worker); });
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] Index concurrency() const noexcept { return concurrency_; }

  /// All tasks run, whatever they throw; the exception of the lowest index is thrown here.
  template <class Task>
  void run(Index count, Task&& task) const {
    if (concurrency_ == 1 || count <= 1 || in_use_.exchange(true)) return Serial{}.run(count, task);
    detail::FirstException exception;
    const auto guarded = [&](Index index, Index worker) { exception.run(task, index, worker); };
    Job job{.count = count, .context = &guarded, .call = [](const void* context, Index index, Index worker) {
              (*static_cast<decltype(guarded)*>(context))(index, worker);
            }};
    {
      const std::lock_guard<std::mutex> guard(lock_);
      job_ = &job;
      busy_ = concurrency_ - 1;
      ++generation_;
    }
    wake_.notify_all();
    work(job, 0);
    std::unique_lock<std::mutex> guard(lock_);
    done_.wait(guard, [&] { return busy_ == 0; });
    job_ = nullptr;
    in_use_.store(false);
    exception.rethrow();
  }

 private:
  struct Checked {};
  ThreadPool(Checked, Index threads) : concurrency_(threads) {
    if (threads < 0) SINQ_THROW(Errc::kBadConfig, detail::text("ThreadPool: threads ", threads, " is negative"));
    if (threads == 0) concurrency_ = std::max(Index{1}, static_cast<Index>(std::thread::hardware_concurrency()));
  }

  struct Job {
    Index count;
    const void* context;
    void (*call)(const void* context, Index index, Index worker);
    std::atomic<Index> next{0};
  };

  static void work(Job& job, Index worker) {
    for (Index i = job.next.fetch_add(1); i < job.count; i = job.next.fetch_add(1)) job.call(job.context, i, worker);
  }

  void serve(Index worker) {
    std::uint64_t seen = 0;
    std::unique_lock<std::mutex> guard(lock_);
    for (;;) {
      wake_.wait(guard, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      Job& job = *job_;
      guard.unlock();
      work(job, worker);
      guard.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  Index concurrency_;
  std::vector<std::thread> threads_;
  mutable std::atomic<bool> in_use_{false};  // by the thread whose `run` is under way
  mutable std::mutex lock_;                  // guards what follows
  mutable std::condition_variable wake_, done_;
  mutable Job* job_ = nullptr;
  mutable Index busy_ = 0;
  mutable std::uint64_t generation_ = 0;
  bool stopping_ = false;
};
static_assert(Executor<ThreadPool>);

}  // namespace sinq::inline SINQ_ABI
