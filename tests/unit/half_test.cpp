#include <sinq/half.hpp>

#include "support/generators.hpp"
#include "support/reference.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

using sinq::bfloat16_to_float;
using sinq::float_to_bfloat16;
using sinq::float_to_half;
using sinq::half_to_float;
namespace reference = sinq::test::reference;

constexpr float kInf = std::numeric_limits<float>::infinity();

/// From sign, exponent and fraction, as IEEE 754 defines them.
double decode_half(std::uint32_t bits) {
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>((bits >> 10) & 31U);
  const double fraction = static_cast<double>(bits & 1023U) / 1024.0;
  if (exponent == 31) return fraction == 0.0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  return exponent == 0 ? sign * std::ldexp(fraction, -14) : sign * std::ldexp(1.0 + fraction, exponent - 15);
}

bool same(float a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return static_cast<double>(a) == b && std::signbit(a) == std::signbit(b);
}

TEST(Half, DecodesEveryPattern) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    ASSERT_TRUE(same(half_to_float(static_cast<std::uint16_t>(bits)), decode_half(bits))) << bits;
  }
}

TEST(Half, EncodesEveryHalfToItself) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << bits;
    } else {
      ASSERT_EQ(float_to_half(value), bits);
    }
  }
}

// Between any two neighbours: the midpoint goes to the even one, one float to either side goes to the nearer.
TEST(Half, RoundsHalfToEvenBetweenAllNeighbours) {
  for (std::uint32_t bits = 0; bits < 0x7bffU; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    // Exact: halves have 11 bits, their sum 12.
    const float middle = (half_to_float(low) + half_to_float(high)) * 0.5F;
    ASSERT_EQ(float_to_half(middle), (bits & 1U) == 0 ? low : high) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, -kInf)), low) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, kInf)), high) << bits;
    ASSERT_EQ(float_to_half(-middle), ((bits & 1U) == 0 ? low : high) | 0x8000U) << bits;
  }
}

TEST(Half, OverflowsHalfwayBeyondTheLargest) {
  EXPECT_EQ(float_to_half(std::nextafter(65520.0F, 0.0F)), 0x7bffU);
  EXPECT_EQ(float_to_half(65520.0F), 0x7c00U);
  EXPECT_EQ(float_to_half(-3e38F), 0xfc00U);
  EXPECT_EQ(float_to_half(kInf), 0x7c00U);
}

TEST(Half, AgreesWithObviousRoundingOnRandomFloats) {
  sinq::test::Random random(1);
  for (int i = 0; i < 500000; ++i) {
    const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(random.bits()));
    if (std::isnan(x)) continue;
    const double half = reference::to_half(static_cast<double>(x));
    ASSERT_TRUE(same(half_to_float(float_to_half(x)), std::copysign(half, static_cast<double>(x)))) << x;
    const double brain = reference::to_bfloat16(static_cast<double>(x));
    ASSERT_TRUE(same(bfloat16_to_float(float_to_bfloat16(x)), std::copysign(brain, static_cast<double>(x)))) << x;
  }
}

// Rounding twice would differ just above the middle of two neighbours: float would already have lost what is above.
TEST(Half, DoublesAreRoundedOnce) {
  for (std::uint32_t bits = 0; bits < 0x7bffU; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits), high = static_cast<std::uint16_t>(bits + 1);
    const double middle = (decode_half(low) + decode_half(high)) / 2.0;
    const std::uint16_t even = (bits & 1U) != 0 ? high : low;
    EXPECT_EQ(sinq::double_to_half(middle), even);
    EXPECT_EQ(sinq::double_to_half(middle * (1.0 + 0x1p-50)), high);
    EXPECT_EQ(sinq::double_to_half(middle * (1.0 - 0x1p-50)), low);
    EXPECT_EQ(sinq::double_to_half(-middle * (1.0 + 0x1p-50)), high | 0x8000U);
  }
  EXPECT_EQ(sinq::double_to_half(1e300), 0x7c00U);
  EXPECT_EQ(sinq::double_to_half(-1e300), 0xfc00U);
  EXPECT_EQ(sinq::double_to_half(1e-300), 0U);
  EXPECT_EQ(sinq::double_to_half(-0.0), 0x8000U);
  EXPECT_TRUE(std::isnan(half_to_float(sinq::double_to_half(std::nan("")))));
}

TEST(Half, IsUsableAtCompileTime) {
  static_assert(half_to_float(0x3c00U) == 1.0F && half_to_float(0x0001U) == 0x1p-24F);
  static_assert(float_to_half(1.0F) == 0x3c00U && float_to_half(0x1p-25F) == 0 && float_to_half(0x1.8p-24F) == 2);
  static_assert(float_to_bfloat16(1.0F) == 0x3f80U && bfloat16_to_float(0x3f80U) == 1.0F);
}

TEST(Bfloat16, RoundsHalfToEvenBetweenAllNeighbours) {
  for (std::uint32_t bits = 0; bits < 0x7f7fU; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    ASSERT_EQ(float_to_bfloat16(bfloat16_to_float(low)), low);
    const auto middle = std::bit_cast<float>((bits << 16) | 0x8000U);
    ASSERT_EQ(float_to_bfloat16(middle), (bits & 1U) == 0 ? low : high) << bits;
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>((bits << 16) | 0x7fffU)), low) << bits;
    ASSERT_EQ(float_to_bfloat16(std::bit_cast<float>((bits << 16) | 0x8001U)), high) << bits;
  }
}

TEST(Bfloat16, DoublesAreRoundedOnce) {
  for (std::uint32_t bits = 0; bits < 0x7f7fU; bits += 7) {
    const auto low = static_cast<std::uint16_t>(bits), high = static_cast<std::uint16_t>(bits + 1);
    const double middle =
        (static_cast<double>(bfloat16_to_float(low)) + static_cast<double>(bfloat16_to_float(high))) / 2.0;
    EXPECT_EQ(sinq::double_to_bfloat16(middle), (bits & 1U) != 0 ? high : low);
    EXPECT_EQ(sinq::double_to_bfloat16(middle * (1.0 + 0x1p-50)), high);
    EXPECT_EQ(sinq::double_to_bfloat16(middle * (1.0 - 0x1p-50)), low);
  }
  EXPECT_EQ(sinq::double_to_bfloat16(0x1.fffp127), 0x7f80U);
  EXPECT_EQ(sinq::double_to_bfloat16(1e300), 0x7f80U);
}

TEST(Bfloat16, KeepsSpecials) {
  EXPECT_EQ(float_to_bfloat16(kInf), 0x7f80U);
  EXPECT_EQ(float_to_bfloat16(-kInf), 0xff80U);
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80U);
  EXPECT_EQ(float_to_bfloat16(-0.0F), 0x8000U);
  // A NaN whose set bits are all in the half that is cut off.
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::bit_cast<float>(0x7f800001U)))));
}

}  // namespace
