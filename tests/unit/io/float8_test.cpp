#include <sinq/io/float8.hpp>

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace float8_test {
namespace {

using sinq::io::e4m3_to_float;
using sinq::io::e5m2_to_float;

/// (-1)^sign * 1.m * 2^(e - bias), or 0.m * 2^(1 - bias) for e = 0.
double value_of(int code, int mantissa_bits, int bias) {
  const int exponent = (code & 0x7f) >> mantissa_bits, mantissa = code & ((1 << mantissa_bits) - 1);
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                         : std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

TEST(Float8, AllCodesOfE4m3) {
  for (int code = 0; code < 256; ++code) {
    const float value = e4m3_to_float(static_cast<std::uint8_t>(code));
    EXPECT_EQ(std::signbit(value), code >= 0x80) << code;
    if ((code & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value)) << code;
    } else {
      EXPECT_EQ(static_cast<double>(value), value_of(code, 3, 7)) << code;
    }
  }
  EXPECT_EQ(e4m3_to_float(0x7e), 448.0F);
  EXPECT_EQ(e4m3_to_float(0x01), 0x1p-9F);
}

TEST(Float8, AllCodesOfE5m2) {
  for (int code = 0; code < 256; ++code) {
    const float value = e5m2_to_float(static_cast<std::uint8_t>(code));
    EXPECT_EQ(std::signbit(value), code >= 0x80) << code;
    if ((code & 0x7f) == 0x7c) {
      EXPECT_TRUE(std::isinf(value)) << code;
    } else if ((code & 0x7f) > 0x7c) {
      EXPECT_TRUE(std::isnan(value)) << code;
    } else {
      EXPECT_EQ(static_cast<double>(value), value_of(code, 2, 15)) << code;
    }
  }
  EXPECT_EQ(e5m2_to_float(0x7b), 57344.0F);
}

TEST(Float8, TablesAreTheFunctions) {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(sinq::io::detail::kFloat8Values<e4m3_to_float>[byte]),
              std::bit_cast<std::uint32_t>(e4m3_to_float(byte)));
    EXPECT_EQ(std::bit_cast<std::uint32_t>(sinq::io::detail::kFloat8Values<e5m2_to_float>[byte]),
              std::bit_cast<std::uint32_t>(e5m2_to_float(byte)));
  }
}

}  // namespace
}  // namespace float8_test
