#include <sinq/detail/zero_point_range.hpp>

#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace {

using sinq::AuxFormat;
using sinq::CodeFormat;
using sinq::Index;
using sinq::detail::ZeroPointRange;
using sinq::detail::ZeroPointSteps;

struct Grid {
  float scale, zero;
  [[nodiscard]] double at(double level) const {
    return (level - static_cast<double>(zero)) * static_cast<double>(scale);
  }
};

/// Applies the range to a group in the last of 19 rows, whose neighbours are ordinary.
Grid brought_into(const ZeroPointRange& range, const Grid& grid, sinq::Isa isa) {
  constexpr Index kRows = 19, kPadded = 32;
  std::array<float, kPadded> scale{}, zero{}, row{}, folded{};
  scale.fill(0.5F);
  row.fill(2.0F);
  scale[kRows - 1] = grid.scale;
  zero[kRows - 1] = grid.zero;
  sinq::dispatch(isa, [&](auto tag) {
    const float most =
        ZeroPointSteps<decltype(tag)>::fold(range, scale.data(), zero.data(), row.data(), kRows, folded.data());
    EXPECT_EQ(most, std::max(1.0F, 2.0F * scale[kRows - 1]));
  });
  EXPECT_EQ(folded[kRows - 1], 2.0F * scale[kRows - 1]);
  EXPECT_EQ(scale[0], 0.5F);
  EXPECT_EQ(zero[0], 0.0F);
  return {scale[kRows - 1], zero[kRows - 1]};
}

/// The same on every instruction set, which must agree.
void bring_into(const ZeroPointRange& range, Grid& grid) {
  const Grid expected = brought_into(range, grid, sinq::Isa::kPortable);
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    const Grid actual = brought_into(range, grid, isa);
    EXPECT_EQ(actual.scale, expected.scale) << name(isa);
    EXPECT_EQ(actual.zero, expected.zero) << name(isa);
  }
  grid = expected;
}

/// Where a zero point goes when its scale is stored half as large.
float after_halving(const ZeroPointRange& range, float zero_point) {
  std::array<float, 16> scale{}, rounded{}, zero{}, out{};
  scale.fill(1.0F);
  rounded.fill(0.5F);
  zero.fill(zero_point);
  float last = 0.0F;
  for (const sinq::Isa isa : sinq::test::supported_isas()) {  // the portable one first
    sinq::dispatch(isa, [&](auto tag) {
      ZeroPointSteps<decltype(tag)>::follow(range, scale.data(), rounded.data(), zero.data(), 3, out.data());
    });
    if (isa == sinq::Isa::kPortable) last = out[2];
    EXPECT_EQ(out[2], last) << name(isa);
  }
  return last;
}

// Issue: within [-2^bits, 2^(bits+1)], by a wider range that still covers what the group held.
TEST(ZeroPointRange, WidensTheRangeOfFarGroups) {
  for (const int bits : {1, 2, 4, 8}) {
    const double codes = std::exp2(bits), top = codes - 1;
    for (const AuxFormat aux : {AuxFormat::kU8, AuxFormat::kF16}) {
      const ZeroPointRange range({.bits = bits}, aux);
      for (const float zero : {-1e6F, -5000.0F, -2.5F, 0.0F, 3.0F, 5000.0F, 1e6F}) {
        const Grid before{0.01F, zero};
        Grid after = before;
        bring_into(range, after);
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
    bring_into(range, grid);
    EXPECT_EQ(grid.scale, 0.01F);
    EXPECT_EQ(grid.zero, zero);
    EXPECT_EQ(after_halving(range, zero), std::clamp(2.0F * zero, range.least, range.greatest));
  }
}

TEST(ZeroPointRange, LeavesExactAndSymmetricFormatsAlone) {
  for (const ZeroPointRange& range :
       {ZeroPointRange({.bits = 4}, AuxFormat::kF32),
        ZeroPointRange({.bits = 4, .symmetry = sinq::Symmetry::kSymmetric}, AuxFormat::kU8)}) {
    Grid grid{0.01F, -1e6F};
    bring_into(range, grid);
    EXPECT_EQ(grid.scale, 0.01F);
    EXPECT_EQ(grid.zero, -1e6F);
    EXPECT_EQ(after_halving(range, -1e6F), -2e6F);
  }
}

// Tables have levels of their own size.
TEST(ZeroPointRange, CountsTablesInTheirMeanStep) {
  static constexpr std::array<float, 4> kLevels{-1.0F, 0.0F, 0.5F, 2.0F};
  const ZeroPointRange range({.bits = 2, .levels = kLevels}, AuxFormat::kU8);
  const Grid before{0.01F, 100.0F};
  Grid after = before;
  bring_into(range, after);
  EXPECT_NEAR(after.zero, 2.0F + 5.0F, 1e-5F) << "2^bits + 1 steps of 1 above the last level";
  EXPECT_LE(after.at(-1.0), before.at(-1.0) + 1e-6);
  EXPECT_GE(after.at(2.0), before.at(2.0) - 1e-6);
}

}  // namespace
