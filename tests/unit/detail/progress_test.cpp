#include <sinq/detail/progress.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::ProgressAction;
using sinq::ProgressCallback;
using sinq::Serial;
using sinq::detail::ExecutorRef;
using sinq::detail::Progress;
using sinq::detail::run_with_progress;
using sinq::test::throws_error;

TEST(Progress, CountsTheTasksOfAllRuns) {
  std::vector<Index> told;
  const ProgressCallback callback = [&](Index done, Index total) {
    EXPECT_EQ(total, 5);
    told.push_back(done);
    return ProgressAction::kContinue;
  };
  const Serial serial;
  Progress progress(callback, 5);
  Index ran = 0;
  run_with_progress(ExecutorRef(serial), 2, progress, [&](Index, Index) { ++ran; });
  run_with_progress(ExecutorRef(serial), 3, progress, [&](Index, Index) { ++ran; });
  EXPECT_EQ(ran, 5);
  EXPECT_EQ(told, (std::vector<Index>{1, 2, 3, 4, 5}));
}

TEST(Progress, NothingRunsAfterANo) {
  const ProgressCallback callback = [](Index done, Index) {
    return done == 2 ? ProgressAction::kCancel : ProgressAction::kContinue;
  };
  const Serial serial;
  Progress progress(callback, 9);
  Index ran = 0;
  EXPECT_TRUE(throws_error(Errc::kCancelled, {"cancelled"}, [&] {
    run_with_progress(ExecutorRef(serial), 9, progress, [&](Index, Index) { ++ran; });
    return 0;
  }));
  EXPECT_EQ(ran, 2);
}

TEST(Progress, NeedsNoCallback) {
  const ProgressCallback none;
  const Serial serial;
  Progress progress(none, 3);
  Index ran = 0;
  run_with_progress(ExecutorRef(serial), 3, progress, [&](Index, Index) { ++ran; });
  EXPECT_EQ(ran, 3);
}

}  // namespace
