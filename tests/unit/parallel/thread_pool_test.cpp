#include <sinq/parallel/thread_pool.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <set>
#include <thread>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::ThreadPool;

TEST(ThreadPoolTest, RunsEveryIndexOnce) {
  for (const Index threads : {1, 2, 3, 8}) {
    const ThreadPool pool(threads);
    EXPECT_EQ(pool.concurrency(), threads);
    for (const Index count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      pool.run(count, [&](Index i, Index worker) {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
        ++calls[static_cast<std::size_t>(i)];
      });
      for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
    }
  }
}

// A worker number stands for one thread during a run: what it indexes needs no lock.
TEST(ThreadPoolTest, WorkersDoNotShareNumbers) {
  const ThreadPool pool(4);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::atomic<int>> inside(4);
    pool.run(64, [&](Index, Index worker) {
      EXPECT_EQ(++inside[static_cast<std::size_t>(worker)], 1);
      std::this_thread::yield();
      --inside[static_cast<std::size_t>(worker)];
    });
  }
}

TEST(ThreadPoolTest, WorksOnSeveralThreads) {
  const ThreadPool pool(2);
  std::atomic<int> arrived{0};
  // Neither task returns before both have begun: on one thread this would never end.
  pool.run(2, [&](Index, Index) {
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(arrived.load(), 2);
}

TEST(ThreadPoolTest, NestedRunsStayOnTheirThread) {
  const ThreadPool pool(3);
  std::atomic<int> calls{0};
  pool.run(6, [&](Index, Index) {
    const auto self = std::this_thread::get_id();
    pool.run(5, [&](Index, Index worker) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      EXPECT_EQ(worker, 0);
      ++calls;
    });
  });
  EXPECT_EQ(calls.load(), 30);
}

TEST(ThreadPoolTest, SharedByTwoCallersDoesAllTheWork) {
  const ThreadPool pool(2);
  std::atomic<int> calls{0};
  const auto caller = [&] {
    for (int i = 0; i < 200; ++i) pool.run(10, [&](Index, Index) { ++calls; });
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(calls.load(), 4000);
}

TEST(ThreadPoolTest, RefusesNegativeNumbersAndKnowsTheMachine) {
  EXPECT_TRUE(sinq::test::throws_error(Errc::kBadConfig, {"threads -1"}, [] { ThreadPool pool(-1); }));
  EXPECT_GE(ThreadPool(0).concurrency(), 1);
}

}  // namespace
