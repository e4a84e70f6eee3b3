#include <sinq/quantizers/trellis_least_squares.hpp>
#include <sinq/quantizers/trellis_start.hpp>

#include "support/generators.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using sinq::TrellisTables;
using sinq::detail::trellis_start;
using sinq::detail::TrellisLeastSquares;

constexpr std::uint16_t kWindows = sinq::TrellisGeometry::kStates;

int most_level(const TrellisTables& tables) {
  int most = 0;
  for (std::uint32_t w = 0; w < kWindows; ++w) most = std::max(most, std::abs(tables.level(w)));
  return most;
}

TEST(TrellisLeastSquaresTest, FindsTheTablesThatMadeTheTargets) {
  const TrellisTables& truth = trellis_start(10).tables;
  sinq::test::Random random(1);
  TrellisLeastSquares fit;
  constexpr float kUnit = 0.75F;
  for (std::uint16_t w = 0; w < kWindows; ++w) {
    fit.add(w, kUnit * static_cast<float>(truth.level(w)), static_cast<float>(1.0 + random.uniform()));
  }
  TrellisTables tables = trellis_start(18).tables;
  const double unit = static_cast<double>(fit.solve(tables));
  for (std::uint32_t w = 0; w < kWindows; ++w) {
    // Three entries, each rounded by half a unit at most.
    EXPECT_NEAR(tables.level(w) * unit, static_cast<double>(kUnit) * truth.level(w), 1.6 * unit) << w;
  }
  EXPECT_GT(most_level(tables), 100);
}

TEST(TrellisLeastSquaresTest, EverySumFitsAByte) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    sinq::test::Random random(seed);
    TrellisLeastSquares fit;
    for (std::uint16_t w = 0; w < kWindows; ++w) {
      fit.add(w, static_cast<float>(random.gaussian() * std::exp(3.0 * random.gaussian())), 1.0F);
    }
    TrellisTables tables = trellis_start(8).tables;
    static_cast<void>(fit.solve(tables));
    int sum = 0;
    for (const auto* table : {&tables.a, &tables.b, &tables.c}) {
      int most = 0;
      for (const std::int8_t x : *table) most = std::max(most, std::abs(int{x}));
      sum += most;
    }
    EXPECT_LE(sum, 127) << seed;
  }
}

TEST(TrellisLeastSquaresTest, HeavierWeightsWin) {
  TrellisLeastSquares fit;
  for (std::uint16_t w = 0; w < kWindows; ++w) {
    fit.add(w, static_cast<float>(trellis_start(8).tables.level(w)), 1000.0F);
    fit.add(w, static_cast<float>(-trellis_start(8).tables.level(w)), 1.0F);
  }
  TrellisTables tables = trellis_start(8).tables;
  const double unit = static_cast<double>(fit.solve(tables));
  EXPECT_NEAR(tables.level(77) * unit, trellis_start(8).tables.level(77) * (999.0 / 1001.0), 1.6 * unit);
}

TEST(TrellisLeastSquaresTest, WithoutWeightTablesStay) {
  TrellisLeastSquares fit;
  for (std::uint16_t w = 0; w < kWindows; ++w) fit.add(w, 3.0F, 0.0F);
  TrellisTables tables = trellis_start(8).tables;
  const double unit = static_cast<double>(fit.solve(tables));
  for (std::uint32_t w = 0; w < kWindows; w += 97) {
    EXPECT_NEAR(tables.level(w) * unit, trellis_start(8).tables.level(w), 1.6 * unit);
  }
}

}  // namespace
