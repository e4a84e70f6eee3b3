#include <sinq/fold/rounding.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sinq::test {

using namespace fold;
namespace {

template <class Stored>
std::vector<Stored> stored(ScalarType type, const std::vector<double>& values, RangeReport& report) {
  std::vector<Stored> out(values.size());
  round_to(type, values, reinterpret_cast<std::byte*>(out.data()), report);
  return out;
}

TEST(FoldRoundingTest, EveryType) {
  RangeReport report;
  const std::vector<double> values{1.0, -0.375, 1.0 + 0x1p-30};
  EXPECT_EQ(stored<std::uint16_t>(ScalarType::kF16, values, report),
            (std::vector<std::uint16_t>{0x3c00, 0xb600, 0x3c00}));
  EXPECT_EQ(stored<std::uint16_t>(ScalarType::kBf16, values, report),
            (std::vector<std::uint16_t>{0x3f80, 0xbec0, 0x3f80}));
  EXPECT_EQ(stored<float>(ScalarType::kF32, values, report), (std::vector<float>{1.0F, -0.375F, 1.0F}));
  EXPECT_EQ(stored<double>(ScalarType::kF64, values, report), values);
  EXPECT_EQ(report.overflowed, 0);
  EXPECT_EQ(report.underflowed, 0);
}

TEST(FoldRoundingTest, ReportsWhatLeavesTheRange) {
  RangeReport report;
  // Beyond; at the edge of f16; subnormal but exact; subnormal and cut; zero.
  static_cast<void>(
      stored<std::uint16_t>(ScalarType::kF16, {70000.0, -65504.0, 0x1p-20, 0x1.003p-16, 0x1p-30, 0.0}, report));
  EXPECT_EQ(report.overflowed, 1);
  EXPECT_EQ(report.first, 0);
  EXPECT_EQ(report.underflowed, 2);
  static_cast<void>(stored<float>(ScalarType::kF32, {1e39, -1e300, 1e-46, HUGE_VAL}, report));
  EXPECT_EQ(report.overflowed, 3);
  EXPECT_EQ(report.values, 10);
  EXPECT_EQ(report.first, 0) << "the first stays";
  EXPECT_EQ(report.underflowed, 3);
  static_cast<void>(stored<std::uint16_t>(ScalarType::kBf16, {0x1.ffp127, 0x1.fep127, 1e-40}, report));
  EXPECT_EQ(report.overflowed, 4);
  EXPECT_EQ(report.underflowed, 4);
  RangeReport other;
  static_cast<void>(stored<std::uint16_t>(ScalarType::kF16, {1.0, 2.0}, other));
  static_cast<void>(stored<std::uint16_t>(ScalarType::kF16, {3.0, 1e5}, other));
  EXPECT_EQ(other.first, 3) << "counted through all calls";
}

}  // namespace
}  // namespace sinq::test
