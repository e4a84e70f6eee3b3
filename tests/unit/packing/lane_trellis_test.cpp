#include <sinq/packing/lane_trellis.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace sinq {
namespace {

using Geometry = TrellisGeometry;

TEST(LaneTrellis, TakesItsRateAndNothingElse) {
  for (int q = Geometry::kMinQuarterBits; q <= Geometry::kMaxQuarterBits; ++q) {
    const Geometry g{.rows = 256, .cols = 160, .quarter_bits = q};
    EXPECT_EQ(g.bytes() * 8 * 4, g.rows * g.cols * q);
    EXPECT_EQ(g.step_end(g.steps() - 1), g.panel_lines() * 8) << "every bit of a lane belongs to a step";
  }
}

TEST(LaneTrellis, PadsToWholePanelsAndBlocks) {
  const Geometry g{.rows = 129, .cols = 17, .quarter_bits = 10};
  EXPECT_EQ(g.panels(), 2);
  EXPECT_EQ(g.blocks(), 2);
  EXPECT_EQ(g.bytes(), 2 * 2 * 10 * 64);
}

TEST(LaneTrellis, EveryWeightHasAPlaceOfItsOwn) {
  const Geometry g{.rows = 128, .cols = 32, .quarter_bits = 8};
  std::vector<int> taken(static_cast<std::size_t>(g.steps() * Geometry::kLineBytes), 0);
  for (Index r = 0; r < g.rows; ++r) {
    for (Index c = 0; c < g.cols; ++c) {
      ++taken[static_cast<std::size_t>(Geometry::step_of(r, c) * Geometry::kLineBytes + Geometry::lane_of(r, c))];
    }
  }
  for (const int count : taken) EXPECT_EQ(count, 1);
}

TEST(LaneTrellis, HalfAndQuarterRatesTakeTurns) {
  const Geometry half{.rows = 128, .cols = 16, .quarter_bits = 10}, quarter{.rows = 128, .cols = 16, .quarter_bits = 9};
  EXPECT_EQ(half.step_bits(0), 2);
  EXPECT_EQ(half.step_bits(1), 3);
  EXPECT_EQ(half.step_bits(2), 2);
  for (const Index s : {0, 1, 2}) EXPECT_EQ(quarter.step_bits(s), 2);
  EXPECT_EQ(quarter.step_bits(3), 3);
}

/// The worked example of include/sinq/README.md.
TEST(LaneTrellis, WindowsAreTheLastTwelveBitsOfACycle) {
  const Geometry g{.rows = 128, .cols = 16, .quarter_bits = 10};
  std::vector<std::uint8_t> panel(static_cast<std::size_t>(g.panel_bytes()), 0);
  const Index lane = Geometry::lane_of(1, 2);
  EXPECT_EQ(lane, 6);
  const auto byte = [&](Index line) -> std::uint8_t& {
    return panel[static_cast<std::size_t>(line * Geometry::kLineBytes + lane)];
  };
  byte(0) = 0b10110011;
  byte(1) = 0b01000000;
  byte(8) = 0b00000001;
  byte(9) = 0b11110000;
  EXPECT_EQ(g.window(panel.data(), lane, 0), 0b0111'1100'0010U) << "ten bits from the end of the panel, then 10";
  EXPECT_EQ(g.window(panel.data(), lane, 1), 0b1110'0001'0110U);
  EXPECT_EQ(g.window(panel.data(), lane, 2), 0b1000'0101'1001U);
  EXPECT_EQ(g.window(panel.data(), lane, 3), 0b0010'1100'1101U)
      << "its own bits are the last of line 0 and the first two of line 1";
}

TEST(LaneTrellis, BlocksAreWrittenFromWindows) {
  std::mt19937 random(2);
  for (int q = Geometry::kMinQuarterBits; q <= Geometry::kMaxQuarterBits; ++q) {
    const Geometry g{.rows = 128, .cols = 32, .quarter_bits = q};
    std::vector<std::uint8_t> panel(static_cast<std::size_t>(g.panel_bytes())), written(panel.size());
    for (auto& byte : panel) byte = static_cast<std::uint8_t>(random());
    std::vector<std::uint16_t> windows;
    for (Index s = 0; s < g.steps(); ++s) {
      for (Index lane = 0; lane < Geometry::kLineBytes; ++lane) {
        windows.push_back(static_cast<std::uint16_t>(g.window(panel.data(), lane, s)));
      }
    }
    for (Index b = 0; b < g.blocks(); ++b) {
      g.write_block(windows.data() + b * Geometry::kBlockSteps * Geometry::kLineBytes,
                    written.data() + b * g.block_bytes());
    }
    EXPECT_EQ(written, panel) << q;
  }
}

TEST(LaneTrellis, AWindowFollowsFromTheOneBefore) {
  std::mt19937 random(1);
  for (int q = Geometry::kMinQuarterBits; q <= Geometry::kMaxQuarterBits; ++q) {
    const Geometry g{.rows = 128, .cols = 48, .quarter_bits = q};
    std::vector<std::uint8_t> panel(static_cast<std::size_t>(g.panel_bytes()));
    for (auto& byte : panel) byte = static_cast<std::uint8_t>(random());
    for (Index s = 0; s < g.steps(); ++s) {
      const Index before = s == 0 ? g.steps() - 1 : s - 1;
      const int k = g.step_bits(s);
      const std::uint32_t window = g.window(panel.data(), 63, s);
      ASSERT_EQ(window >> k, g.window(panel.data(), 63, before) & ((1U << (12 - k)) - 1U)) << q << " step " << s;
    }
  }
}

TEST(LaneTrellis, LevelsAreSumsOfThreeTables) {
  TrellisTables tables;
  for (std::size_t i = 0; i < 16; ++i) {
    tables.a[i] = static_cast<std::int8_t>(i);
    tables.b[i] = static_cast<std::int8_t>(2 * i);
    tables.c[i] = static_cast<std::int8_t>(-i);
  }
  // n0 = 1101, n1 = 1100, n2 = 0010, m = 0011.
  EXPECT_EQ(tables.level(0b0010'1100'1101U), 0b1111 + 2 * 0b0001 - 0b0011);
}

}  // namespace
}  // namespace sinq
