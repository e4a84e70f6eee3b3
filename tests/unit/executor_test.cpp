#include <sinq/executor.hpp>

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace {

using sinq::Index;

struct WithoutConcurrency {
  template <class Task>
  void run(Index, Task&&) const {}
};
static_assert(sinq::Executor<sinq::Serial>);
static_assert(!sinq::Executor<WithoutConcurrency> && !sinq::Executor<int>);

TEST(SerialTest, RunsEverythingInOrderOnOneWorker) {
  std::vector<std::pair<Index, Index>> calls;
  sinq::Serial{}.run(4, [&](Index i, Index worker) { calls.emplace_back(i, worker); });
  EXPECT_EQ(calls, (std::vector<std::pair<Index, Index>>{{0, 0}, {1, 0}, {2, 0}, {3, 0}}));
  sinq::Serial{}.run(0, [&](Index, Index) { ADD_FAILURE(); });
  EXPECT_EQ(sinq::Serial{}.concurrency(), 1);
}

}  // namespace
