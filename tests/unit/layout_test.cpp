#include <sinq/layout.hpp>

#include <gtest/gtest.h>

namespace {

using sinq::AuxFormat;
using sinq::Layout;

TEST(LayoutData, CountsGroupsAndRowBlocks) {
  const Layout layout{.rows = 10, .cols = 100, .bits = 3, .group_size = 32, .row_block = 4};
  EXPECT_EQ(layout.groups(), 4);  // 32 + 32 + 32 + 4
  EXPECT_EQ(layout.row_blocks(), 3);
}

TEST(LayoutData, ColumnScalesAreExactOnlyWhereAuxIs) {
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kU8, AuxFormat::kU6}) {
    EXPECT_EQ(Layout{.aux = aux}.col_scale_format(), AuxFormat::kF16);
  }
  EXPECT_EQ(Layout{.aux = AuxFormat::kF32}.col_scale_format(), AuxFormat::kF32);
}

TEST(LayoutData, EveryFieldCounts) {
  const Layout layout{.rows = 10, .cols = 100, .row_block = 10};
  Layout other = layout;
  EXPECT_EQ(layout, other);
  other.quarter_bits = 10;
  EXPECT_NE(layout, other);
}

TEST(LayoutFlaw, JoinsItsParts) {
  const sinq::detail::LayoutFlaw flaw(sinq::Errc::kBadShape, "rows ", 0, " is not at least 1");
  EXPECT_EQ(flaw.code, sinq::Errc::kBadShape);
  EXPECT_EQ(flaw.text, "rows 0 is not at least 1");
}

}  // namespace
