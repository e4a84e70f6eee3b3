#include <sinq/quantizers/fp4.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace {

// OCP Microscaling Formats 1.0, table 5: sign, two bits of exponent with bias 1, one of fraction; no Inf, no NaN.
TEST(Fp4, IsEveryValueOfE2M1) {
  std::set<float> values;
  for (int bits = 0; bits < 16; ++bits) {
    const int exponent = bits >> 1 & 3;
    const float fraction = static_cast<float>(bits & 1) / 2.0F;
    const float magnitude = exponent == 0 ? fraction : std::ldexp(1.0F + fraction, exponent - 1);
    values.insert((bits & 8) != 0 ? -magnitude : magnitude);
  }
  const auto levels = sinq::codebooks::kFp4.levels();
  EXPECT_EQ(values, std::set<float>(levels.begin(), levels.end()));
  EXPECT_EQ(levels.size(), 15U) << "the two zeros are one level";
  EXPECT_EQ(sinq::codebooks::kFp4.bits(), 4);
  EXPECT_NO_THROW(sinq::codebooks::kFp4.validate());
}

}  // namespace
