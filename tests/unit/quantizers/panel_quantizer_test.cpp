#include <sinq/quantizers/panel_quantizer.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace {

using sinq::Index;
using sinq::PanelView;

// A block of sixteen columns: every weight of its 128 rows once.
TEST(PanelViewTest, StepsAndLanesAreRowsAndColumns) {
  constexpr Index kCols = 16;
  std::vector<int> seen(std::size_t{128 * kCols});
  for (Index step = 0; step < 32; ++step) {
    for (Index lane = 0; lane < PanelView::kLanes; ++lane) {
      ++seen[static_cast<std::size_t>(PanelView::row_of(step, lane) * kCols + PanelView::col_of(step, lane))];
    }
  }
  EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  // include/sinq/README.md: step 8 * (column / 4) + (row % 128) / 16, lane 4 * (row % 16) + column % 4.
  EXPECT_EQ(PanelView::row_of(8 * 2 + 3, 4 * 5 + 1), 3 * 16 + 5);
  EXPECT_EQ(PanelView::col_of(8 * 2 + 3, 4 * 5 + 1), 2 * 4 + 1);
}

TEST(PanelViewTest, GroupsCountWhatIsNoPadding) {
  // Groups of 32 columns over 68, which fill 80.
  const PanelView view{.steps = 5 * 32, .group_steps = 2 * 32, .cols = 68};
  ASSERT_EQ(view.groups(), 3);
  EXPECT_EQ(view.cols_of(0), 32);
  EXPECT_EQ(view.cols_of(1), 32);
  EXPECT_EQ(view.cols_of(2), 4);
}

}  // namespace
