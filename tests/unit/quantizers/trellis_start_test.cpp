#include <sinq/quantizers/trellis_start.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace {

using sinq::TrellisGeometry;

int largest(const std::array<std::int8_t, 16>& table) {
  int most = 0;
  for (const std::int8_t entry : table) most = std::max(most, std::abs(int{entry}));
  return most;
}

TEST(TrellisStart, TablesFitSignedBytesAndUseThem) {
  for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
    const auto& tables = sinq::detail::trellis_start(q).tables;
    const int sum = largest(tables.a) + largest(tables.b) + largest(tables.c);
    EXPECT_LE(sum, 127) << q;
    EXPECT_GE(sum, 120) << q << ": levels are as fine as bytes allow";
  }
}

// Few weights of a Gaussian source lie beyond three deviations, none of the sample beyond five.
TEST(TrellisStart, LevelsReachTheEndsOfASourceOfVarianceOne) {
  for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
    const auto& start = sinq::detail::trellis_start(q);
    int least = 0, greatest = 0;
    for (std::uint32_t window = 0; window < TrellisGeometry::kStates; ++window) {
      least = std::min(least, start.tables.level(window));
      greatest = std::max(greatest, start.tables.level(window));
    }
    for (const int end : {-least, greatest}) {
      EXPECT_GT(static_cast<float>(end) * start.level, 2.5F) << q;
      EXPECT_LT(static_cast<float>(end) * start.level, 5.0F) << q;
    }
  }
}

}  // namespace
