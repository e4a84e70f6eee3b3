#pragma once

#include <sinq/types.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace llm {

using sinq::Index;

/// `threads`, or, where it is 0, as many as the machine has.
[[nodiscard]] inline int resolve_threads(int threads) {
  return threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// Calls body(worker, item) for items 0..count-1 on `threads` threads (0: all), worker < threads. Items are taken in
/// order by whoever is free. An exception stops the rest; that of the lowest item is thrown again here, so that the
/// message does not depend on who was faster.
template <class Body>
void parallel_for(Index count, int threads, const Body& body) {
  std::atomic<Index> next{0};
  std::exception_ptr failure;
  Index failed_item = count;
  std::mutex failure_mutex;
  const auto work = [&](int worker) {
    for (Index item = next++; item < count; item = next++) {
      try {
        body(worker, item);
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (item < failed_item) {
          failed_item = item;
          failure = std::current_exception();
        }
        next = count;
      }
    }
  };
  const int workers = static_cast<int>(std::min<Index>(resolve_threads(threads), count));
  {
    std::vector<std::jthread> pool;
    for (int worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
    work(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace llm
