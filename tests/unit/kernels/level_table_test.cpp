// Levels as bytes: exact grids stay exact, others within the tolerance that the kernels ask for.
#include <sinq/kernels/level_table.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <span>

namespace {

using sinq::Index;
using sinq::detail::LevelTable;

/// Root mean square error of the table, relative to that of the levels.
double error_of(const LevelTable& table, std::span<const float> levels) {
  double error = 0.0, square = 0.0;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const int t = table.digits == 2 ? 128 * table.high[i] + table.low[i] : table.high[i];
    const double level =
        static_cast<double>(table.affine.base) + static_cast<double>(table.affine.step) * static_cast<double>(t);
    error += std::pow(level - static_cast<double>(levels[i]), 2);
    square += std::pow(static_cast<double>(levels[i]), 2);
  }
  return std::sqrt(error / square);
}

TEST(LevelTableTest, KeepsAGridExactInOneByte) {
  const auto format = sinq::codebooks::kFp4.format();
  for (const int largest : {127, 255}) {
    const LevelTable table(format.levels.data(), static_cast<Index>(format.levels.size()), largest, 0.0F);
    EXPECT_EQ(table.digits, 1) << largest;
    EXPECT_LT(error_of(table, format.levels), 1e-6) << largest;
  }
}

// int8 activations: 0.4% for the levels leaves room for the 0.8% of the activations below 1%.
TEST(LevelTableTest, TakesTwoBytesWhereOneIsTooCoarse) {
  for (const auto* codebook : {&sinq::codebooks::kNf4, &sinq::codebooks::kNf3}) {
    const auto levels = codebook->format().levels;
    const auto table = [&](int largest, int digits) {
      return LevelTable(levels.data(), static_cast<Index>(levels.size()), largest,
                        sinq::detail::level_tolerance(digits));
    };
    EXPECT_EQ(table(255, 1).digits, 1) << levels.size();
    EXPECT_EQ(table(127, 1).digits, 2) << levels.size();
    EXPECT_EQ(table(255, 2).digits, 2) << "activations of two bytes, " << levels.size();
    for (const int largest : {127, 255}) EXPECT_LE(error_of(table(largest, 1), levels), 4e-3) << levels.size();
    EXPECT_LE(error_of(table(255, 2), levels), 1e-4) << levels.size();
  }
}

}  // namespace
