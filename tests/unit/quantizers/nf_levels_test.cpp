#include <sinq/quantizers/nf_levels.hpp>

#include <gtest/gtest.h>

#include <algorithm>

namespace {

// Their values are compared with the reference's in nf4_test.cpp and nf3_test.cpp.
TEST(NfLevels, AscendFromMinusOneToOneWithZero) {
  const auto check = [](const auto& levels) {
    EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
    EXPECT_EQ(levels.front(), -1.0F);
    EXPECT_EQ(levels.back(), 1.0F);
    EXPECT_EQ(std::count(levels.begin(), levels.end(), 0.0F), 1);
  };
  check(sinq::codebooks::kNf4Levels);
  check(sinq::codebooks::kNf3Levels);
}

}  // namespace
