#include <sinq/kernels/panel_format.hpp>

#include "random_matrix.hpp"

#include <gtest/gtest.h>

namespace {

using namespace sinq;
using namespace sinq::test;

TEST(PanelFormat, EveryCodeHasAKernelAndOnlyScalarOnesArePacked) {
  for (int bits = 1; bits <= 8; ++bits) {
    EXPECT_TRUE(can_repack(make_layout(20, 100, bits, 32))) << bits;
    EXPECT_TRUE(can_run_fast(make_layout(20, 100, bits, 32))) << bits;
  }
  EXPECT_FALSE(can_repack(make_trellis_layout(20, 100, 10, 32)));
  EXPECT_TRUE(can_run_fast(make_trellis_layout(20, 100, 10, 32)));
}

// Four groups of 24 columns are three units of 32; the last super-block has 28 of its columns.
TEST(PanelFormat, SuperBlocksAreWholeUnitsAndWholeLines) {
  Layout layout = make_layout(33, 96 + 28, 3, 24);
  const PanelGeometry geometry(layout);
  EXPECT_EQ(geometry.panels, 3);
  EXPECT_EQ(geometry.super_blocks, 2);
  EXPECT_EQ(geometry.first_col(1), 96);
  EXPECT_EQ(geometry.col_count(0), 96);
  EXPECT_EQ(geometry.col_count(1), 28);
  EXPECT_EQ(geometry.group_count(1), 2);
  EXPECT_EQ(geometry.code_bytes(0), 3 * 3 * 64);
  EXPECT_EQ(geometry.code_bytes(1), 3 * 64);
  EXPECT_EQ(geometry.aux_bytes_of(0), 4 * 2 * 32);  // f16 scales and zero points of 16 rows
  EXPECT_EQ(geometry.panel_bytes, geometry.super_bytes + 3 * 64 + 2 * 2 * 32);
}

}  // namespace
