#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/identity.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace {

using sinq::balance;
using sinq::Index;
using sinq::MatrixView;
using sinq::Sinkhorn;
using sinq::Thresholds;
using sinq::test::same_bytes;
using sinq::test::TestMatrix;
using sinq::test::view;

// One matrix as one tile: the same as the tile form on weights of the same size.
TEST(BalanceTest, AgreesWithTheTileForm) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    const TestMatrix w = sinq::test::generators::mixed_scales(40, 50, 1);
    const auto whole = balance(view(w), Sinkhorn{}, Thresholds::kRelative, isa);
    sinq::test::TestTile tile(w);
    std::vector<float> row(40), col(50);
    sinq::Scratch scratch;
    const auto report = Sinkhorn{}.balance(tile.view(sinq::test::unit_of(w)), {row.data(), col.data()}, scratch, isa);
    // The tile here is not scaled to about 1, whose first moments are taken while loading: the last digit may differ.
    EXPECT_TRUE(sinq::test::all_near(whole.row, row, 2e-6)) << name(isa);
    EXPECT_TRUE(sinq::test::all_near(whole.col, col, 2e-6)) << name(isa);
    EXPECT_EQ(whole.report.best_iteration, report.best_iteration);
  }
}

TEST(BalanceTest, RelativeThresholdsIgnoreScale) {
  const TestMatrix w = sinq::test::generators::mixed_scales(40, 50, 2);
  const auto expected = balance(view(w), Sinkhorn{});
  for (const double factor : {0x1p-80, 0x1p-7, 0x1p60}) {
    const TestMatrix scaled = w.times(factor);
    const auto actual = balance(view(scaled), Sinkhorn{});
    EXPECT_TRUE(same_bytes(actual.row, expected.row)) << factor;
    EXPECT_TRUE(same_bytes(actual.col, expected.col)) << factor;
  }
}

// FORMAT.md 8.9: below a standard deviation of 1e-3 the reference's clamps see nothing to balance.
TEST(BalanceTest, AbsoluteThresholdsDoNot) {
  const TestMatrix w = sinq::test::generators::mixed_scales(40, 50, 3).times(1e-6);
  const auto relative = balance(view(w), Sinkhorn{}, Thresholds::kRelative);
  const auto absolute =
      balance(view(w), Sinkhorn{.degenerate = sinq::DegenerateTiles::kAsReference}, Thresholds::kAbsolute);
  EXPECT_LT(relative.report.imbalance_after, 0.5F * relative.report.imbalance_before);
  EXPECT_GT(absolute.report.imbalance_after, 0.9F * absolute.report.imbalance_before);
}

TEST(BalanceTest, ReadsOtherLayouts) {
  const TestMatrix w = sinq::test::generators::mixed_scales(40, 50, 4);
  std::vector<float> transposed(w.values.size());
  for (Index r = 0; r < 40; ++r) {
    for (Index c = 0; c < 50; ++c) transposed[static_cast<std::size_t>(c * 40 + r)] = w(r, c);
  }
  const auto expected = balance(view(w), Sinkhorn{});
  const auto actual =
      balance({.rows = 40, .cols = 50, .data = transposed.data(), .row_stride = 1, .col_stride = 40}, Sinkhorn{});
  EXPECT_TRUE(same_bytes(actual.col, expected.col));
}

TEST(BalanceTest, TakesAnyNormalizer) {
  const TestMatrix w = sinq::test::generators::gaussian(3, 4, 5);
  const auto scale = balance(view(w), sinq::Identity{});
  EXPECT_EQ(scale.row, std::vector<float>(3, 1.0F));
  EXPECT_EQ(scale.col, std::vector<float>(4, 1.0F));
}

TEST(BalanceTest, EveryFiniteWeightIsFineAndOthersAreNamed) {
  std::vector<float> weights(64 * 32, 0.01F);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= static_cast<float>(i % 13) - 6.0F;
  const MatrixView w = MatrixView::row_major(weights.data(), 64, 32);
  weights[5 * 32 + 7] = 3.39e38F;
  const auto scale = balance(w, Sinkhorn{});
  for (const float col : scale.col) EXPECT_TRUE(col > 0.0F && col <= std::numeric_limits<float>::max());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    weights[5 * 32 + 7] = bad;
    try {
      static_cast<void>(balance(w, Sinkhorn{}));
      ADD_FAILURE() << "nothing was thrown";
    } catch (const sinq::Error& error) {
      EXPECT_EQ(error.code(), sinq::Errc::kBadData);
      EXPECT_NE(std::string(error.what()).find("weight [5, 7] is "), std::string::npos) << error.what();
    }
  }
}

}  // namespace
