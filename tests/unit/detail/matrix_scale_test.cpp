#include <sinq/detail/matrix_scale.hpp>

#include "support/generators.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using sinq::Index;
using sinq::MatrixView;
using sinq::detail::estimate_matrix_scale;
using sinq::test::TestMatrix;

float scale_of(const TestMatrix& w) {
  return estimate_matrix_scale(MatrixView::row_major(w.values.data(), w.rows, w.cols));
}

TEST(MatrixScale, IsAPowerOfTwoNearTheRms) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 200}, {33, 64}, {500, 40}}) {
    for (const double size : {1e-20, 0.02, 1.0, 1e20}) {
      const float scale = scale_of(sinq::test::generators::gaussian(rows, cols, 1).times(size / 0.02));
      int exponent = 0;
      EXPECT_EQ(std::frexp(scale, &exponent), 0.5F) << "a power of two";
      EXPECT_LE(scale, 1.3 * size);
      EXPECT_GE(scale, 0.35 * size);
    }
  }
}

TEST(MatrixScale, FollowsPowersOfTwoExactly) {
  const TestMatrix w = sinq::test::generators::mixed_scales(100, 64, 2);
  for (const int exponent : {-100, -3, 5, 100}) {
    EXPECT_EQ(scale_of(w.times(std::exp2(exponent))), std::ldexp(scale_of(w), exponent));
  }
}

TEST(MatrixScale, OneWildRowDoesNotDecide) {
  TestMatrix w = sinq::test::generators::gaussian(64, 64, 3);
  const float before = scale_of(w);
  for (Index c = 0; c < 64; ++c) w(0, c) = 1e20F;
  EXPECT_EQ(scale_of(w), before);
}

TEST(MatrixScale, ZeroRowsAndMatrices) {
  EXPECT_EQ(scale_of(sinq::test::generators::all_zero(40, 40, 0)), 1.0F);
  TestMatrix w(1000, 8);
  for (Index c = 0; c < 8; ++c) w(777, c) = 3.0F;
  EXPECT_EQ(scale_of(w), 2.0F) << "the only row that is not zero, though no sample of 32 holds it";
}

}  // namespace
