#include <sinq/fold/edge.hpp>

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldEdgeTest, ColumnsOfSharedHeads) {
  // Six query heads of four channels on two KV heads: o column (h, d) reads v row (h / 3, d).
  const Consumer output{.block = 4, .repeat = 3};
  for (Index head = 0; head < 6; ++head) {
    for (Index d = 0; d < 4; ++d) {
      const Index channel = head / 3 * 4 + d;
      EXPECT_EQ(output.channel(head * 4 + d), channel);
      EXPECT_EQ(output.column(channel, head % 3), head * 4 + d);
    }
  }
  EXPECT_EQ(Consumer{}.channel(17), 17);
  EXPECT_EQ(Consumer{}.column(17, 0), 17);
}

TEST(FoldEdgeTest, RowsOfInterleavedHeads) {
  // A head's rows: six of the key, five of the value.
  const Producer values{.first = 6, .block = 5, .stride = 11};
  EXPECT_EQ(values.row(0), 6);
  EXPECT_EQ(values.row(4), 10);
  EXPECT_EQ(values.row(5), 17);
  EXPECT_EQ(values.row(14), 32);
  EXPECT_EQ((Producer{.first = 40}.row(3)), 43);
}

}  // namespace
}  // namespace sinq::test
