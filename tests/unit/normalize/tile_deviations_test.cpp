// Standard deviations under changing scales, one pass or two, with and without rows and columns left out.
#include <sinq/normalize/tile_deviations.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/reference.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace {

using sinq::Index;
using sinq::test::TestMatrix;
namespace reference = sinq::test::reference;

/// Least and greatest deviation of a matrix in double.
std::pair<double, double> extremes(const TestMatrix& w) {
  const auto s = reference::spread(reference::Matrix<double>(w.rows, w.cols, w.values));
  const auto [row_least, row_most] = std::minmax_element(s.row.begin(), s.row.end());
  const auto [col_least, col_most] = std::minmax_element(s.col.begin(), s.col.end());
  return {std::min(*row_least, *col_least), std::max(*row_most, *col_most)};
}

// 1e-5: FORMAT.md section 9 for imbalance, the ratio of these two.
TEST(TileDeviationsTest, MatchTheDefinition) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (const auto& [rows, cols] : {std::pair<Index, Index>{2, 2}, {15, 17}, {64, 64}, {300, 40}, {33, 130}}) {
      for (const float offset : {0.0F, 0.05F, 2.0F, 100.0F}) {
        TestMatrix w = generator.make(rows, cols, 1).times(50.0);
        for (float& x : w.values) x += offset;
        const auto [least, most] = extremes(w);
        for (const sinq::Isa isa : sinq::test::supported_isas()) {
          sinq::test::TestTile tile(w);
          sinq::Scratch scratch = sinq::test::dirty_scratch();
          sinq::detail::TileDeviations deviations(tile.view(), scratch, isa);
          deviations.measure();
          EXPECT_NEAR(deviations.least(), least, 1e-5 * least)
              << generator.name << rows << "x" << cols << " " << offset;
          EXPECT_NEAR(deviations.most(), most, 1e-5 * most) << generator.name << rows << "x" << cols << " " << offset;
        }
      }
    }
  }
}

TEST(TileDeviationsTest, SeeLargeOffsets) {
  TestMatrix w = sinq::test::generators::gaussian(40, 40, 2).times(50.0);
  sinq::Scratch scratch;
  sinq::test::TestTile near_zero(w);
  sinq::detail::TileDeviations small(near_zero.view(), scratch, sinq::Isa::kBest);
  small.measure();
  EXPECT_FALSE(small.offset_dominated());
  for (float& x : w.values) x += 30.0F;
  sinq::test::TestTile far(w);
  sinq::detail::TileDeviations large(far.view(), scratch, sinq::Isa::kBest);
  large.measure();
  EXPECT_TRUE(large.offset_dominated());
}

// One row far from zero among others is enough.
TEST(TileDeviationsTest, SeeOneOffsetColumn) {
  TestMatrix w = sinq::test::generators::gaussian(40, 40, 3).times(50.0);
  for (Index r = 0; r < 40; ++r) w(r, 13) += 1000.0F;
  const auto [least, most] = extremes(w);
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    sinq::test::TestTile tile(w);
    sinq::Scratch scratch;
    sinq::detail::TileDeviations deviations(tile.view(), scratch, isa);
    deviations.measure();
    EXPECT_NEAR(deviations.least(), least, 1e-5 * least) << name(isa);
    EXPECT_NEAR(deviations.most(), most, 1e-5 * most) << name(isa);
  }
}

TEST(TileDeviationsTest, LeaveOutWhatHardlyVaries) {
  TestMatrix w = sinq::test::generators::gaussian(40, 40, 4).times(50.0);
  for (Index r = 0; r < 40; ++r) w(r, 3) = 0.5F + 1e-5F * w(r, 3);
  const double expected = extremes(sinq::test::generators::gaussian(40, 40, 4).times(50.0)).first;
  sinq::test::TestTile tile(w);
  sinq::Scratch scratch;
  sinq::detail::TileDeviations deviations(tile.view(), scratch, sinq::Isa::kBest);
  deviations.measure();
  EXPECT_LT(deviations.least(), 1e-4F);
  EXPECT_EQ(deviations.leave_out_below(1e-3F), 1);
  EXPECT_GT(deviations.least(), 0.5F * static_cast<float>(expected));
  deviations.measure();
  EXPECT_GT(deviations.least(), 0.5F * static_cast<float>(expected)) << "and so in later passes";
}

}  // namespace
