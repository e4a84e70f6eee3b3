#include <sinq/matrix_view.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/imbalance.hpp>
#include <sinq/quantize.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using sinq::Errc;
using sinq::MatrixView;
using sinq::ScalarType;
using sinq::test::throws_error;

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

/// A view made by hand whose strides were forgotten, at every door.
TEST(MatrixViewTest, ForgottenStridesAreNamed) {
  const std::vector<float> values(32, 1.0F);
  const MatrixView w = MatrixView::row_major(values.data(), 2, 16);
  const sinq::QuantizedMatrix q = sinq::quantize(w);
  MatrixView rows{.rows = 2, .cols = 16, .data = values.data()}, cols = w, nothing = w;
  cols.col_stride = 0;
  nothing.data = nullptr;
  const auto refused = [&](std::string_view call, auto&& use) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, {call, "row_stride is 0"}, [&] { static_cast<void>(use(rows)); }));
    EXPECT_TRUE(throws_error(Errc::kBadShape, {call, "col_stride is 0"}, [&] { static_cast<void>(use(cols)); }));
    EXPECT_TRUE(throws_error(Errc::kBadShape, {call, "no data"}, [&] { static_cast<void>(use(nothing)); }));
  };
  refused("quantize", [](const MatrixView& v) { return sinq::quantize(v); });
  refused("measure_error", [&](const MatrixView& v) { return sinq::measure_error(v, q); });
  refused("imbalance", [](const MatrixView& v) { return sinq::imbalance(v); });
  refused("balance", [](const MatrixView& v) { return sinq::balance(v, sinq::Sinkhorn{}); });
  nothing.rows = 0;
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"imbalance", "0 x 16", "empty"},
                           [&] { static_cast<void>(sinq::imbalance(nothing)); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"activations", "row_stride is 0"},
                           [&] { static_cast<void>(sinq::measure_error(w, q, rows)); }));
  MatrixView one = rows;
  one.rows = 1;
  EXPECT_EQ(sinq::quantize(one).rows(), 1) << "one row needs no stride";
}

TEST(MatrixViewTest, RowMajorOfOtherScalars) {
  const std::uint16_t values[6] = {};
  const MatrixView v = MatrixView::row_major(values, ScalarType::kBf16, 3, 2);
  EXPECT_EQ(v.type, ScalarType::kBf16);
  EXPECT_EQ(v.row_stride, 2);
  EXPECT_EQ(v.rows, 3);
}

}  // namespace
