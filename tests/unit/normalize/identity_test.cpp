#include <sinq/normalize/identity.hpp>

#include "support/generators.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

namespace {

static_assert(sinq::Identity::kColScale == sinq::ColScaleUse::kUnused, "no column scale is stored for plain RTN");

TEST(IdentityTest, FactorsAreOne) {
  const auto w = sinq::test::generators::mixed_scales(5, 7, 1);
  sinq::test::TestTile tile(w);
  sinq::test::GuardedFloats row(5), col(7);
  sinq::Scratch scratch;
  const auto report = sinq::Identity{}.balance(tile.view(), {row.data(), col.data()}, scratch, sinq::Isa::kBest);
  for (const float f : row.values()) EXPECT_EQ(f, 1.0F);
  for (const float f : col.values()) EXPECT_EQ(f, 1.0F);
  EXPECT_TRUE(row.intact() && col.intact());
  EXPECT_EQ(report.imbalance_before, report.imbalance_after);
}

}  // namespace
