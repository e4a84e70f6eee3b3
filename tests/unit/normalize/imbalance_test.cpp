#include <sinq/normalize/imbalance.hpp>

#include "support/generators.hpp"
#include "support/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using sinq::imbalance;
using sinq::MatrixView;
namespace reference = sinq::test::reference;

// Both in double: they differ by the order of sums.
TEST(ImbalanceTest, MatchesTheDefinition) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const auto w = generator.make(30, 41, 1);
    const double expected = reference::imbalance(reference::Matrix<double>(w.rows, w.cols, w.values));
    EXPECT_NEAR(imbalance(MatrixView::row_major(w.values.data(), w.rows, w.cols)), expected, 1e-12 * expected);
  }
}

TEST(ImbalanceTest, ByHand) {
  // Rows have deviations sqrt(1/2) * {1, 1}, columns sqrt(1/2) * {3, 3}.
  const std::vector<float> w{0, 1, 3, 4};
  EXPECT_NEAR(imbalance(MatrixView::row_major(w.data(), 2, 2)), 3.0, 1e-15);
}

TEST(ImbalanceTest, HardCases) {
  const std::vector<float> constant(6, 0.3F);
  EXPECT_EQ(imbalance(MatrixView::row_major(constant.data(), 2, 3)), 1.0);
  EXPECT_EQ(imbalance(MatrixView::row_major(constant.data(), 1, 6)), 1.0);
  EXPECT_EQ(imbalance(MatrixView::row_major(constant.data(), 6, 1)), 1.0);
  const std::vector<float> constant_column{1, 2, 1, 5};
  EXPECT_TRUE(std::isinf(imbalance(MatrixView::row_major(constant_column.data(), 2, 2))));
}

TEST(ImbalanceTest, IgnoresOrderAndScale) {
  const auto w = sinq::test::generators::mixed_scales(20, 30, 2);
  const MatrixView row_major = MatrixView::row_major(w.values.data(), 20, 30);
  const MatrixView transposed{.rows = 30, .cols = 20, .data = w.values.data(), .row_stride = 1, .col_stride = 30};
  EXPECT_NEAR(imbalance(transposed), imbalance(row_major), 1e-12 * imbalance(row_major));
  const auto scaled = w.times(1024.0);
  EXPECT_NEAR(imbalance(MatrixView::row_major(scaled.values.data(), 20, 30)), imbalance(row_major), 1e-9);
}

}  // namespace
