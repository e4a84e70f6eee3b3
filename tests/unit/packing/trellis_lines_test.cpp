#include <sinq/packing/trellis_lines.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::Index;
using sinq::TrellisGeometry;
using sinq::detail::TrellisLines;

/// Three blocks of ten lines.
constexpr TrellisGeometry kGeometry{.rows = 128, .cols = 48, .quarter_bits = 10};

class TrellisLinesTest : public testing::Test {
 protected:
  std::vector<std::uint8_t> panel_ = std::vector<std::uint8_t>(static_cast<std::size_t>(kGeometry.panel_bytes()));

  /// Which line of the panel this is.
  [[nodiscard]] Index number(const std::uint8_t* line) const {
    return (line - panel_.data()) / TrellisGeometry::kLineBytes;
  }
};

TEST_F(TrellisLinesTest, ThoseBeforeTheFirstAreThePanelsLast) {
  const TrellisLines lines(kGeometry, panel_.data(), 0, 2);
  EXPECT_EQ(lines.steps, 64);
  EXPECT_EQ(number(lines.line(0)), 0);
  EXPECT_EQ(number(lines.line(-1)), 29);
  EXPECT_EQ(number(lines.line(-2)), 28);
}

TEST_F(TrellisLinesTest, ElsewhereTheyAreTheLinesBefore) {
  const TrellisLines lines(kGeometry, panel_.data(), 1, 2);
  EXPECT_EQ(number(lines.line(0)), 10);
  EXPECT_EQ(number(lines.line(-1)), 9);
  EXPECT_EQ(number(lines.line(19)), 29);
}

TEST_F(TrellisLinesTest, APartBeginsWhereTheWholeWasCut) {
  const TrellisLines lines(kGeometry, panel_.data(), 0, 3);
  const TrellisLines later = lines.part(TrellisGeometry::kBlockSteps, 2 * TrellisGeometry::kBlockSteps);
  EXPECT_EQ(later.steps, 64);
  EXPECT_EQ(number(later.line(0)), 10);
  EXPECT_EQ(number(later.line(-2)), 8);
  EXPECT_EQ(number(lines.part(0, TrellisGeometry::kBlockSteps).line(-1)), 29) << "a cycle still";
}

}  // namespace
