// The estimate by which Sinkhorn refuses its own scales.
#include <sinq/normalize/dual_scale_gain.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace {

using sinq::Index;
using sinq::TileView;
using sinq::test::TestMatrix;
using sinq::test::TestTile;

TestMatrix row_of(const std::vector<float>& values) {
  TestMatrix w(1, static_cast<std::ptrdiff_t>(values.size()));
  w.values = values;
  return w;
}

bool gains_nothing(const TestMatrix& w, const std::vector<float>& inverse, float steps, sinq::Isa isa) {
  TestTile tile(w);
  TileView view = tile.view();
  view.steps = steps;
  sinq::Scratch scratch = sinq::test::dirty_scratch();
  return sinq::detail::gains_nothing(view, inverse.data(), scratch, isa);
}

TEST(RowErrorTest, IsThatOfRoundingToTheRowsGrid) {
  TestTile tile(row_of({0.0F, 1.2F, 2.6F, 3.0F}));
  TileView view = tile.view();
  view.steps = 3.0F;
  EXPECT_NEAR(sinq::detail::row_error(view, 0, nullptr), 0.2 * 0.2 + 0.4 * 0.4, 1e-6);
}

// Divided by the factors 1, 1, 2, 1 the row is 0, 1.2, 1.3, 3: the error of the third weight counts twice as long.
TEST(RowErrorTest, IsMeasuredOnTheWeightsThemselves) {
  TestTile tile(row_of({0.0F, 1.2F, 2.6F, 3.0F}));
  TileView view = tile.view();
  view.steps = 3.0F;
  const float inverse[] = {1.0F, 1.0F, 0.5F, 1.0F};
  EXPECT_NEAR(sinq::detail::row_error(view, 0, inverse), 0.2 * 0.2 + 0.6 * 0.6, 1e-6);
}

// Mean 1, mean deviation 1: the levels are 0 and 2.
TEST(RowErrorTest, HasTwoLevelsAroundTheMeanWithOneBit) {
  TestTile tile(row_of({-0.5F, 0.5F, 1.5F, 2.5F}));
  TileView view = tile.view();
  view.steps = 1.0F;
  EXPECT_NEAR(sinq::detail::row_error(view, 0, nullptr), 4 * 0.25, 1e-6);
}

TEST(GainsNothingTest, AcceptsTheColumnFactorsOfAnOutlierColumn) {
  TestMatrix w = sinq::test::generators::gaussian(96, 64, 1);
  for (Index r = 0; r < w.rows; ++r) w(r, 20) *= 30.0F;
  std::vector<float> inverse(64, 1.0F);
  inverse[20] = 1.0F / 30.0F;
  for (const sinq::Isa isa : sinq::test::supported_isas()) EXPECT_FALSE(gains_nothing(w, inverse, 15.0F, isa));
}

TEST(GainsNothingTest, RefusesFactorsThatOnlyCoarsen) {
  const TestMatrix w = sinq::test::generators::gaussian(96, 64, 1);
  std::vector<float> inverse(64, 1.0F);
  inverse[20] = 1.0F / 30.0F;
  for (const sinq::Isa isa : sinq::test::supported_isas()) EXPECT_TRUE(gains_nothing(w, inverse, 15.0F, isa));
}

// Every grid holds the only weight that is not zero: there is nothing to gain.
TEST(GainsNothingTest, RefusesWhereNothingIsLost) {
  TestMatrix w(96, 64);
  w(50, 20) = -3.0F;
  std::vector<float> inverse(64, 1.0F);
  inverse[20] = 0.5F;
  for (const sinq::Isa isa : sinq::test::supported_isas()) EXPECT_TRUE(gains_nothing(w, inverse, 15.0F, isa));
}

}  // namespace
