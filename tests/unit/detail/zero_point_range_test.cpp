#include <sinq/detail/zero_point_range.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace {

using sinq::AuxFormat;
using sinq::CodeFormat;
using sinq::detail::ZeroPointRange;

struct Grid {
  float scale, zero;
  [[nodiscard]] double at(double level) const {
    return (level - static_cast<double>(zero)) * static_cast<double>(scale);
  }
};

// Issue: within [-2^bits, 2^(bits+1)], by a wider range that still covers what the group held.
TEST(ZeroPointRange, WidensTheRangeOfFarGroups) {
  for (const int bits : {1, 2, 4, 8}) {
    const double codes = std::exp2(bits), top = codes - 1;
    for (const AuxFormat aux : {AuxFormat::kU8, AuxFormat::kF16}) {
      const ZeroPointRange range({.bits = bits}, aux);
      for (const float zero : {-1e6F, -5000.0F, -2.5F, 0.0F, 3.0F, 5000.0F, 1e6F}) {
        const Grid before{0.01F, zero};
        Grid after = before;
        range.apply(after.scale, after.zero);
        if (aux == AuxFormat::kU8) {
          EXPECT_GE(after.zero, -codes) << bits;
          EXPECT_LE(after.zero, 2 * codes) << bits;
        }
        EXPECT_GE(after.scale, before.scale);
        // Both ends of what the group held are still inside the grid.
        const double tolerance = 1e-6 * std::max(std::abs(before.at(0)), std::abs(before.at(top)));
        EXPECT_LE(after.at(0), before.at(0) + tolerance) << bits << " bits, zero " << zero;
        EXPECT_GE(after.at(top), before.at(top) - tolerance) << bits << " bits, zero " << zero;
      }
    }
  }
}

TEST(ZeroPointRange, LeavesOrdinaryGroupsAlone) {
  const ZeroPointRange range({.bits = 4}, AuxFormat::kU8);
  for (const float zero : {-16.0F, -3.0F, 0.0F, 7.5F, 15.0F, 32.0F}) {
    Grid grid{0.01F, zero};
    range.apply(grid.scale, grid.zero);
    EXPECT_EQ(grid.scale, 0.01F);
    EXPECT_EQ(grid.zero, zero);
    EXPECT_EQ(range.clamp(zero), zero);
  }
}

TEST(ZeroPointRange, LeavesExactAndSymmetricFormatsAlone) {
  for (const ZeroPointRange& range :
       {ZeroPointRange({.bits = 4}, AuxFormat::kF32),
        ZeroPointRange({.bits = 4, .symmetry = sinq::Symmetry::kSymmetric}, AuxFormat::kU8)}) {
    Grid grid{0.01F, -1e6F};
    range.apply(grid.scale, grid.zero);
    EXPECT_EQ(grid.scale, 0.01F);
    EXPECT_EQ(grid.zero, -1e6F);
    EXPECT_EQ(range.clamp(-1e6F), -1e6F);
  }
}

// Tables have levels of their own size.
TEST(ZeroPointRange, CountsTablesInTheirMeanStep) {
  static constexpr std::array<float, 4> kLevels{-1.0F, 0.0F, 0.5F, 2.0F};
  const ZeroPointRange range({.bits = 2, .levels = kLevels}, AuxFormat::kU8);
  const Grid before{0.01F, 100.0F};
  Grid after = before;
  range.apply(after.scale, after.zero);
  EXPECT_NEAR(after.zero, 2.0F + 5.0F, 1e-5F) << "2^bits + 1 steps of 1 above the last level";
  EXPECT_LE(after.at(-1.0), before.at(-1.0) + 1e-6);
  EXPECT_GE(after.at(2.0), before.at(2.0) - 1e-6);
}

}  // namespace
