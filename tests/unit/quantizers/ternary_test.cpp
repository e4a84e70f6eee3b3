#include <sinq/quantizers/ternary.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace {

TEST(Ternary, IsMinusOneZeroOne) {
  constexpr std::array<float, 3> kExpected{-1.0F, 0.0F, 1.0F};
  const auto levels = sinq::codebooks::kTernary.levels();
  EXPECT_TRUE(std::equal(levels.begin(), levels.end(), std::begin(kExpected), std::end(kExpected)));
  EXPECT_EQ(sinq::codebooks::kTernary.bits(), 2);
  EXPECT_EQ(sinq::codebooks::kTernary.symmetry, sinq::Symmetry::kSymmetric);
  EXPECT_EQ(sinq::codebooks::kTernary.format().shared_zero_point, 0.0F);
  EXPECT_NO_THROW(sinq::codebooks::kTernary.validate());
}

}  // namespace
