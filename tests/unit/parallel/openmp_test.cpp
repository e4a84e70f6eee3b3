#include <sinq/parallel/openmp.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <vector>

namespace {

TEST(OpenMpTest, RunsEveryIndexOnce) {
#ifdef _OPENMP
  const sinq::OpenMp executor;
  const sinq::Index concurrency = executor.concurrency();
  EXPECT_GE(concurrency, 1);
  std::vector<std::atomic<int>> calls(500);
  executor.run(500, [&](sinq::Index i, sinq::Index worker) {
    EXPECT_GE(worker, 0);
    EXPECT_LT(worker, concurrency);
    EXPECT_EQ(executor.concurrency(), 1) << "inside a task there is one thread";
    ++calls[static_cast<std::size_t>(i)];
  });
  for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
#else
  GTEST_SKIP() << "compiled without OpenMP: the header is empty";
#endif
}

}  // namespace
