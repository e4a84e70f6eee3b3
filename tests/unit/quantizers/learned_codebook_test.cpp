#include <sinq/measure_error.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using sinq::Errc;
using sinq::LearnedCodebook;
using sinq::MatrixView;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

TEST(LearnedCodebookTest, RefusesBadFields) {
  const auto refuses = [](auto spoil, std::initializer_list<std::string_view> parts) {
    LearnedCodebook codebook;
    spoil(codebook);
    return throws_error(Errc::kBadConfig, parts, [&] { codebook.validate(); });
  };
  EXPECT_TRUE(refuses([](auto& c) { c.bits = 0; }, {"LearnedCodebook", "bits 0", "1..8"}));
  EXPECT_TRUE(refuses([](auto& c) { c.bits = 9; }, {"LearnedCodebook", "bits 9", "1..8"}));
  EXPECT_TRUE(refuses([](auto& c) { c.iterations = 0; }, {"LearnedCodebook", "iterations 0"}));
  EXPECT_TRUE(refuses([](auto& c) { c.rounds = -1; }, {"LearnedCodebook", "rounds -1"}));
  EXPECT_NO_THROW(LearnedCodebook().validate());
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"bits 9"}, [] { LearnedCodebook(9).validate(); }));
}

TEST(LearnedCodebookTest, StartsFromEvenLevels) {
  const LearnedCodebook codebook(2);
  const auto levels = codebook.format().levels;
  ASSERT_EQ(levels.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(levels[i], 2.0F * static_cast<float>(i) / 3.0F - 1.0F, 1e-6F);
}

TEST(LearnedCodebookTest, LearnsAscendingLevelsDeterministically) {
  const TestMatrix w = sinq::test::generators::gaussian(200, 64, 1).times(50.0);
  for (const int bits : {1, 2, 3, 4}) {
    std::vector<float> first;
    for (int round = 0; round < 2; ++round) {
      LearnedCodebook codebook(bits);
      sinq::test::TestTile tile(w);
      sinq::Scratch scratch = sinq::test::dirty_scratch();
      codebook.learn(tile.view(), scratch, sinq::Isa::kBest);
      const auto levels = codebook.format().levels;
      EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
      EXPECT_TRUE(sinq::test::all_finite(levels));
      const std::vector<float> now(levels.begin(), levels.end());
      if (round == 1) {
        EXPECT_EQ(now, first);
      }
      first = now;
    }
  }
}

// What it is for: normal weights crowd in the middle, an even grid does not know.
TEST(LearnedCodebookTest, LowersTheErrorOfAnEvenGrid) {
  const TestMatrix w = sinq::test::generators::gaussian(256, 256, 2);
  for (const int bits : {3, 4}) {
    const auto learned = sinq::quantize(view(w), sinq::Config<LearnedCodebook>{.quantizer = LearnedCodebook(bits)});
    const auto even = sinq::quantize(view(w), sinq::Config<sinq::Fitted>{.quantizer = {.bits = bits}});
    EXPECT_LT(measure_error(view(w), learned).mse, 0.97 * measure_error(view(w), even).mse) << bits;
  }
}

TEST(LearnedCodebookTest, StoresItsLevelsWithTheMatrix) {
  const TestMatrix w = sinq::test::generators::gaussian(64, 128, 3);
  const sinq::Config<LearnedCodebook> config{.quantizer = LearnedCodebook(3)};
  const auto q = sinq::quantize(view(w), config);
  ASSERT_EQ(q.layout().level_count, 8);
  const float* levels = q.view().levels();
  EXPECT_TRUE(std::is_sorted(levels, levels + 8));
  const auto even = config.quantizer.format().levels;
  EXPECT_FALSE(std::equal(levels, levels + 8, even.begin())) << "learned, not those of the config";
}

TEST(LearnedCodebookTest, DegenerateMatricesStayFinite) {
  for (const auto& generator : sinq::test::degenerate_generators()) {
    const TestMatrix w = generator.make(40, 40, 4);
    const auto q = sinq::quantize(view(w), sinq::Config<LearnedCodebook>{.quantizer = LearnedCodebook(3)});
    const auto report = measure_error(view(w), q);
    EXPECT_TRUE(std::isfinite(report.mse)) << generator.name;
    // An even number of levels need not hold zero: an all-zero matrix decodes to the floor of its scales.
    EXPECT_TRUE(report.relative_frobenius <= 1.0001 || report.mse < 1e-8) << generator.name;
  }
}

}  // namespace
