#include "llm/parallel_for.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using llm::Index;

TEST(ParallelFor, RunsEveryItemOnce) {
  std::vector<std::atomic<int>> runs(1000);
  llm::parallel_for(1000, 4, [&](int worker, Index item) {
    EXPECT_LT(worker, 4);
    ++runs[static_cast<std::size_t>(item)];
  });
  for (const auto& count : runs) EXPECT_EQ(count, 1);
}

TEST(ParallelFor, ThrowsTheLowestItemsExceptionWhoeverIsFaster) {
  std::latch both_started(2);
  std::string message;
  try {
    llm::parallel_for(2, 2, [&](int, Index item) {
      both_started.arrive_and_wait();
      if (item == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      throw std::runtime_error(std::to_string(item));
    });
  } catch (const std::runtime_error& e) {
    message = e.what();
  }
  EXPECT_EQ(message, "0");
}

TEST(ParallelFor, ExceptionStopsTheRest) {
  std::atomic<int> runs = 0;
  EXPECT_THROW(llm::parallel_for(1 << 20, 2,
                                 [&](int, Index) {
                                   ++runs;
                                   throw std::runtime_error("stop");
                                 }),
               std::runtime_error);
  EXPECT_LE(runs, 2);
}

}  // namespace
