#include <sinq/matrix_view.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace {

using sinq::MatrixView;
using sinq::ScalarType;

static_assert(std::is_trivially_copyable_v<MatrixView>, "a view is passed by value");

TEST(MatrixViewTest, RowMajorHasNoGaps) {
  const float values[6] = {};
  const MatrixView v = MatrixView::row_major(values, 2, 3);
  EXPECT_EQ(v.rows, 2);
  EXPECT_EQ(v.cols, 3);
  EXPECT_EQ(v.data, values);
  EXPECT_EQ(v.type, ScalarType::kF32);
  EXPECT_EQ(v.row_stride, 3);
  EXPECT_EQ(v.col_stride, 1);
  EXPECT_EQ(v.read_tile, nullptr);
}

TEST(MatrixViewTest, RowMajorOfOtherScalars) {
  const std::uint16_t values[6] = {};
  const MatrixView v = MatrixView::row_major(values, ScalarType::kBf16, 3, 2);
  EXPECT_EQ(v.type, ScalarType::kBf16);
  EXPECT_EQ(v.row_stride, 2);
  EXPECT_EQ(v.rows, 3);
}

}  // namespace
