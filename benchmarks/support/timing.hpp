#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace sinq::bench {

/// What a duration is measured with.
enum class Clock {
  kThread,  ///< CPU time of the calling thread: what other programs do on the machine hardly shows
  kWall,    ///< for work of several threads
};

/// Seconds since some fixed moment.
[[nodiscard]] inline double seconds(Clock clock) noexcept {
  if (clock == Clock::kThread) {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Durations of the same work; the shortest is the one that noise spoilt least.
class Fastest {
 public:
  template <class Work>
  void measure(Clock clock, Work&& work) {
    const double start = seconds(clock);
    work();
    seconds_ = std::min(seconds_, bench::seconds(clock) - start);
  }
  /// Seconds.
  [[nodiscard]] double value() const noexcept { return seconds_; }

 private:
  double seconds_ = std::numeric_limits<double>::infinity();
};

}  // namespace sinq::bench
