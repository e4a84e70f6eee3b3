#include <sinq/error.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace {

using sinq::Errc;
using sinq::detail::text;
using sinq::test::throws_error;

static_assert(std::is_base_of_v<std::runtime_error, sinq::Error>, "catchable as what every program catches");

TEST(Error, CarriesCodeAndText) {
  const sinq::Error e(Errc::kBadShape, "rows 0 is not at least 1");
  EXPECT_EQ(e.code(), Errc::kBadShape);
  EXPECT_STREQ(e.what(), "rows 0 is not at least 1");
}

TEST(Error, IsWhatTheMacroThrows) {
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"bits", "9", "1..8"},
                           [] { SINQ_THROW(Errc::kBadConfig, text("bits ", 9, " is not in 1..8")); }));
}

TEST(ErrorDeathTest, AssertionsSayWhatAndWhere) {
  EXPECT_DEATH(sinq::detail::assertion_failed("bits == 8", "kernel.hpp", 7), "kernel.hpp:7: not true: bits == 8");
}

TEST(Error, MatcherSeesWrongCodesAndTexts) {
  const auto thrower = [] { SINQ_THROW(Errc::kBadConfig, "bits 9"); };
  EXPECT_FALSE(throws_error(Errc::kBadShape, {}, thrower));
  EXPECT_FALSE(throws_error(Errc::kBadConfig, {"group_size"}, thrower));
  EXPECT_FALSE(throws_error(Errc::kBadConfig, {}, [] {}));
}

TEST(ErrorText, JoinsPartsOfEveryKind) {
  EXPECT_EQ(text(), "");
  EXPECT_EQ(text("a", std::string("b"), std::string_view("c"), 'd'), "abcd");
  EXPECT_EQ(text(-7, " ", 8U, " ", std::size_t{9}, " ", true), "-7 8 9 true");
  EXPECT_EQ(text(std::numeric_limits<std::ptrdiff_t>::min()), "-9223372036854775808");
}

// The shortest text that reads back as the same number, and never a locale's comma.
TEST(ErrorText, WritesFloatsExactly) {
  EXPECT_EQ(text(0.1F), "0.1");
  EXPECT_EQ(text(-2.5), "-2.5");
  EXPECT_EQ(text(std::numeric_limits<float>::infinity()), "inf");
  EXPECT_EQ(text(std::numeric_limits<double>::quiet_NaN()), "nan");
  const double widest = -std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(std::strtod(text(widest).c_str(), nullptr), widest);
}

}  // namespace
