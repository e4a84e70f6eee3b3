#include <sinq/detail/kurtosis.hpp>

#include "support/generators.hpp"
#include "support/reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using sinq::Index;
using sinq::MatrixView;
using sinq::detail::kurtosis;
using sinq::test::TestMatrix;
namespace reference = sinq::test::reference;

TEST(Kurtosis, MatchesTheDefinition) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 7}, {16, 10}, {17, 33}, {100, 64}}) {
      const TestMatrix w = generator.make(rows, cols, 1);
      const double expected = reference::kurtosis(reference::Matrix<double>(rows, cols, w.values));
      EXPECT_NEAR(kurtosis(MatrixView::row_major(w.values.data(), rows, cols)), expected, 1e-10 * expected);
    }
  }
}

// FORMAT.md 8.9: below a standard deviation of 1e-3 the variance counts as 1e-6.
TEST(Kurtosis, ClampsTheVariance) {
  const TestMatrix w = sinq::test::generators::student_t(64, 64, 2).times(1e-4 / 0.02);
  const double expected = reference::kurtosis(reference::Matrix<double>(64, 64, w.values));
  const double actual = kurtosis(MatrixView::row_major(w.values.data(), 64, 64));
  EXPECT_LT(actual, 0.1);
  EXPECT_NEAR(actual, expected, 1e-9);
}

TEST(Kurtosis, RoundsWhenTheInputIsRounded) {
  TestMatrix w = sinq::test::generators::student_t(64, 64, 3);
  TestMatrix rounded = w;
  for (float& x : rounded.values) x = sinq::half_to_float(sinq::float_to_half(x));
  const double expected = kurtosis(MatrixView::row_major(rounded.values.data(), 64, 64));
  EXPECT_EQ(kurtosis(MatrixView::row_major(w.values.data(), 64, 64), sinq::InputRounding::kF16), expected);
  EXPECT_NE(kurtosis(MatrixView::row_major(w.values.data(), 64, 64)), expected);
}

TEST(ForEachRows, VisitsEveryWeightOnceInOrder) {
  for (const Index rows : {1, 15, 16, 17, 40}) {
    TestMatrix w = sinq::test::generators::ramp(rows, 5, 0);
    std::vector<float> seen;
    Index next = 0;
    sinq::detail::for_each_rows(MatrixView::row_major(w.values.data(), rows, 5), sinq::InputRounding::kNone,
                                [&](Index first, Index count, const float* x) {
                                  EXPECT_EQ(first, next);
                                  next = first + count;
                                  seen.insert(seen.end(), x, x + count * 5);
                                });
    EXPECT_EQ(seen, w.values);
  }
}

}  // namespace
