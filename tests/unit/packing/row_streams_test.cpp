#include <sinq/packing/row_streams.hpp>

#include <gtest/gtest.h>

namespace {

using sinq::Layout;
using sinq::detail::RowStreams;

TEST(RowStreams, ScalarRowsAreWholeBytes) {
  const RowStreams streams(Layout{.rows = 10, .cols = 100, .bits = 3});
  EXPECT_EQ(streams.row_bytes(), 38);  // 300 bits
  EXPECT_EQ(streams.code_shape().size(), 380);
  EXPECT_EQ(streams.sign_row_bytes(), 0);
  EXPECT_EQ(streams.code_count(21), 21);
  EXPECT_EQ(streams.bytes_before(64), 24);
  EXPECT_EQ(streams.code_offset(2, 64), 2 * 38 + 24);
}

TEST(RowStreams, VectorRowsHaveACodeForSeveralColumns) {
  const RowStreams streams(
      Layout{.rows = 2, .cols = 21, .bits = 11, .vector_dim = 8, .signs = sinq::SignStorage::kSeparate});
  EXPECT_EQ(streams.code_count(21), 3);
  EXPECT_EQ(streams.row_bytes(), 5);  // 33 bits
  EXPECT_EQ(streams.sign_row_bytes(), 3);
  EXPECT_EQ(streams.sign_offset(1, 16), 5);
}

TEST(RowStreams, CanBeCutWhereCodesAreWholeBytes) {
  const auto col_step = [](int bits, int dim) {
    return RowStreams(Layout{.bits = bits, .vector_dim = dim}).col_step();
  };
  EXPECT_EQ(col_step(3, 1), 8);
  EXPECT_EQ(col_step(4, 1), 2);
  EXPECT_EQ(col_step(8, 1), 1);
  EXPECT_EQ(col_step(9, 4), 32);
  EXPECT_EQ(col_step(12, 8), 16);
  EXPECT_EQ(RowStreams(Layout{}).row_step(), 1);
}

}  // namespace
