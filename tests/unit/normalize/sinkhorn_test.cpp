#include <sinq/normalize/sinkhorn.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/reference.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace {

using sinq::DegenerateTiles;
using sinq::Errc;
using sinq::Index;
using sinq::Isa;
using sinq::Sinkhorn;
using sinq::TileOutcome;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
namespace reference = sinq::test::reference;

struct Balanced {
  std::vector<float> row, col;
  sinq::BalanceReport report;
};

Balanced balance(const TestMatrix& w, const Sinkhorn& sinkhorn = {}, Isa isa = Isa::kBest) {
  sinq::test::TestTile tile(w);
  sinq::Scratch scratch = sinq::test::dirty_scratch();
  Balanced run{
      std::vector<float>(static_cast<std::size_t>(w.rows)), std::vector<float>(static_cast<std::size_t>(w.cols)), {}};
  run.report = sinkhorn.balance(tile.view(), {run.row.data(), run.col.data()}, scratch, isa);
  return run;
}

Sinkhorn as_reference() { return {.degenerate = DegenerateTiles::kAsReference}; }

TEST(SinkhornTest, DefaultsAreThePapers) {
  const Sinkhorn s;
  EXPECT_EQ(s.iterations, 16);
  EXPECT_EQ(s.min_std, 1e-3F);
  EXPECT_EQ(s.max_std, 1e3F);
  EXPECT_EQ(s.min_update, 0.7F);
  EXPECT_EQ(s.max_update, 2.0F);
  EXPECT_EQ(s.min_log_scale, -0.3F);
  EXPECT_EQ(s.max_log_scale, 10.0F);
}

TEST(SinkhornTest, RefusesBadFields) {
  const float nan = std::nanf("");
  struct Bad {
    Sinkhorn sinkhorn;
    const char* field;
    const char* value;
  };
  const Bad all[] = {
      {{.iterations = -1}, "iterations", "-1"},
      {{.iterations = 10001}, "iterations", "10001"},
      {{.min_std = 0.0F}, "min_std", "0"},
      {{.min_std = nan}, "min_std", "nan"},
      {{.max_std = 1e-4F}, "max_std", "1e-04"},
      {{.max_std = std::numeric_limits<float>::infinity()}, "max_std", "inf"},
      {{.min_update = -0.5F}, "min_update", "-0.5"},
      {{.max_update = 0.5F}, "max_update", "0.5"},
      {{.min_log_scale = 11.0F}, "min_log_scale", "11"},
      {{.max_log_scale = nan}, "max_log_scale", "nan"},
  };
  for (const Bad& bad : all) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Sinkhorn", bad.field, bad.value}, [&] { bad.sinkhorn.validate(); }));
  }
  EXPECT_NO_THROW(Sinkhorn{.iterations = 0}.validate());
}

// Stopping where the imbalance first rises is exact: the reference, which runs on, keeps the same iterate.
TEST(SinkhornTest, StopsEarlyWithTheReferencesResult) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const TestMatrix w = generator.make(48, 64, seed).times(50.0);
      const auto expected = reference::sinkhorn(reference::Matrix<double>(w.rows, w.cols, w.values));
      if (expected.decision_margin < 1e-5) continue;
      for (const Isa isa : sinq::test::supported_isas()) {
        const Balanced run = balance(w, as_reference(), isa);
        EXPECT_EQ(run.report.best_iteration, expected.best_k) << generator.name << ", seed " << seed;
        EXPECT_LE(run.report.passes, 16);
        EXPECT_LE(run.report.passes, expected.best_k + 2) << "ran on after the first rise";
        EXPECT_TRUE(sinq::test::all_near(run.col, expected.mu1, 2e-6)) << generator.name << ", seed " << seed;
        EXPECT_TRUE(sinq::test::all_near(run.row, expected.mu2, 2e-6)) << generator.name << ", seed " << seed;
      }
    }
  }
}

TEST(SinkhornTest, LimitsIterations) {
  const TestMatrix w = sinq::test::generators::mixed_scales(48, 64, 1).times(50.0);
  for (const int iterations : {1, 2, 3, 8}) {
    const auto expected = reference::sinkhorn(reference::Matrix<double>(w.rows, w.cols, w.values), iterations);
    Sinkhorn sinkhorn = as_reference();
    sinkhorn.iterations = iterations;
    const Balanced run = balance(w, sinkhorn);
    EXPECT_EQ(run.report.best_iteration, expected.best_k);
    EXPECT_LE(run.report.passes, iterations);
    EXPECT_TRUE(sinq::test::all_near(run.col, expected.mu1, 2e-6)) << iterations;
  }
}

TEST(SinkhornTest, NoIterationsAreIdentity) {
  const TestMatrix w = sinq::test::generators::mixed_scales(20, 20, 2).times(50.0);
  const Balanced run = balance(w, {.iterations = 0});
  for (const float f : run.row) EXPECT_EQ(f, 1.0F);
  for (const float f : run.col) EXPECT_EQ(f, 1.0F);
  EXPECT_LE(run.report.imbalance_after, run.report.imbalance_before);
}

TEST(SinkhornTest, OneRowOrColumnIsUntouched) {
  for (const auto& w : {sinq::test::generators::gaussian(1, 30, 3), sinq::test::generators::gaussian(30, 1, 3)}) {
    for (const auto degenerate : {DegenerateTiles::kGuard, DegenerateTiles::kAsReference}) {
      const Balanced run = balance(w.times(50.0), {.degenerate = degenerate});
      EXPECT_EQ(run.report.outcome, TileOutcome::kUntouched);
      for (const float f : run.row) EXPECT_EQ(f, 1.0F);
      for (const float f : run.col) EXPECT_EQ(f, 1.0F);
    }
  }
}

// design.md section 6: E[x^2] - E[x]^2 is wrong for a large common offset. 1000 + noise of 1 leaves one digit of the
// variance in float; FORMAT.md section 9 asks for imbalance within 1e-5. (Weights that large have 2^-14 of their own.)
TEST(SinkhornTest, MeasuresDeviationsUnderLargeOffsets) {
  for (const float offset : {1.0F, 10.0F, 100.0F, 1000.0F}) {
    TestMatrix w = sinq::test::generators::mixed_scales(64, 48, 4).times(50.0);
    for (float& x : w.values) x += offset;
    const double expected = reference::imbalance(reference::Matrix<double>(w.rows, w.cols, w.values));
    for (const Isa isa : sinq::test::supported_isas()) {
      EXPECT_NEAR(balance(w, {}, isa).report.imbalance_before, expected, 1e-5 * expected) << offset << name(isa);
    }
  }
}

// FORMAT.md section 9: a constant column must have a deviation below 1e-12, or the imbalance is not that of the
// reference.
TEST(SinkhornTest, ConstantColumnsHaveNoDeviation) {
  const TestMatrix w = sinq::test::generators::constant_column(64, 48, 5).times(50.0);
  const auto expected = reference::sinkhorn(reference::Matrix<float>(w.rows, w.cols, w.values));
  for (const Isa isa : sinq::test::supported_isas()) {
    const Balanced run = balance(w, as_reference(), isa);
    EXPECT_NEAR(run.report.imbalance_before, expected.imbalance[0], 1e-5F * expected.imbalance[0]);
    EXPECT_GT(run.report.imbalance_before, 1e9);
  }
}

TEST(SinkhornTest, GuardLeavesConstantRowsAndColumnsOut) {
  TestMatrix w = sinq::test::generators::mixed_scales(64, 48, 6).times(50.0);
  for (Index r = 0; r < 64; ++r) w(r, 7) = 2.0F;
  for (Index c = 0; c < 48; ++c) w(9, c) = -1.0F;
  const Balanced run = balance(w);
  EXPECT_EQ(run.report.left_out, 1) << "the row is not constant: it crosses the constant column";
  for (Index r = 0; r < 64; ++r) w(r, 7) = -1.0F;
  const Balanced both = balance(w);
  EXPECT_EQ(both.report.left_out, 2);
  EXPECT_LT(both.report.imbalance_before, 100.0F) << "measured without them";
}

TEST(SinkhornTest, GuardRefusesWhatWouldCoarsenTheGrids) {
  TestMatrix w = sinq::test::generators::mixed_scales(64, 48, 7).times(50.0);
  for (float& x : w.values) x += 50.0F;
  const Balanced guarded = balance(w);
  EXPECT_EQ(guarded.report.outcome, TileOutcome::kRefused);
  EXPECT_EQ(guarded.report.imbalance_after, guarded.report.imbalance_before);
  for (const float f : guarded.col) EXPECT_EQ(f, 1.0F);
  const Balanced unguarded = balance(w, as_reference());
  EXPECT_EQ(unguarded.report.outcome, TileOutcome::kBalanced);
}

// Fifteen doublings reach 32768, the clip stops at e^10 = 22026.
TEST(SinkhornTest, GreatestScaleIsClippedAsInTheReference) {
  TestMatrix w = sinq::test::generators::gaussian(32, 32, 9).times(0.5);
  for (Index r = 0; r < 32; ++r) w(r, 3) *= 1e5F;
  Sinkhorn sinkhorn = as_reference();
  sinkhorn.iterations = 40;
  const auto expected = reference::sinkhorn(reference::Matrix<double>(w.rows, w.cols, w.values), 40);
  EXPECT_NEAR(expected.mu1[3], std::exp(10.0), 1e-6);
  EXPECT_TRUE(sinq::test::all_near(balance(w, sinkhorn).col, expected.mu1, 2e-6));
}

TEST(SinkhornTest, ScalesStayWithinTheirClip) {
  const TestMatrix w = sinq::test::generators::outlier_column(64, 48, 8).times(50.0);
  for (const Sinkhorn& sinkhorn : {Sinkhorn{}, Sinkhorn{.min_log_scale = -0.1F, .max_log_scale = 0.5F}}) {
    const Balanced run = balance(w, sinkhorn);
    for (const auto* factors : {&run.row, &run.col}) {
      for (const float f : *factors) {
        EXPECT_GE(f, std::exp(sinkhorn.min_log_scale) * (1 - 1e-6F));
        EXPECT_LE(f, std::exp(sinkhorn.max_log_scale) * (1 + 1e-6F));
      }
    }
  }
}

}  // namespace
