#include <sinq/measure_error.hpp>
#include <sinq/presets.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using sinq::Config;
using sinq::Errc;
using sinq::Index;
using sinq::presets::accurate;
using sinq::presets::Shape;
using sinq::test::throws_error;
using sinq::test::view;

double bits(const sinq::AnyConfig& config, Index rows, Index cols) {
  return bits_per_weight(layout_for(config, rows, cols));
}

TEST(Recipes, AreConfigurationsWithNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const auto& recipe : sinq::presets::recipes()) {
    EXPECT_TRUE(names.insert(recipe.name).second) << recipe.name;
    EXPECT_NO_THROW(validate(recipe.config)) << recipe.name;
    EXPECT_TRUE(recipe.error > 0.0 && recipe.error < 1.0) << recipe.name;
    EXPECT_GT(bits(recipe.config, 100, 100), 1.0) << recipe.name;  // of any shape
  }
  EXPECT_TRUE(names.contains("learned-4-g64"));
  EXPECT_TRUE(names.contains("vector4-9-g32"));
}

// Measured on lm30m; a Gaussian matrix is no other case.
TEST(Recipes, ErrorsAreThoseThatAreMade) {
  const auto w = sinq::test::ordinary_generators().front().make(256, 512, 5);
  for (const auto& recipe : sinq::presets::recipes()) {
    const std::array<std::string_view, 4> some{"learned-4-g64", "learned-2-g64", "learned-3-g128", "vector4-6-g32"};
    if (std::find(some.begin(), some.end(), recipe.name) == some.end()) continue;
    const double error = measure_error(view(w), quantize(view(w), recipe.config)).relative_frobenius;
    EXPECT_NEAR(error * error, recipe.error, 0.2 * recipe.error) << recipe.name;
  }
}

TEST(Recipes, AccurateIsTheOneOfLeastErrorThatFits) {
  for (const double budget : {2.3, 3.3, 4.55, 6.0}) {
    const auto chosen = accurate({.max_bits_per_weight = budget}, 512, 512);
    double least = 1.0, error = 1.0;
    for (const auto& recipe : sinq::presets::recipes()) {
      if (bits(recipe.config, 512, 512) <= budget) least = std::min(least, recipe.error);
      if (recipe.config == chosen) error = recipe.error;
    }
    EXPECT_EQ(error, least) << budget;
  }
}

TEST(Accurate, StaysWithinItsBudgetAndUsesIt) {
  for (const Shape& shape : {Shape{512, 512}, {4096, 4096}, {1024, 100}}) {
    for (double budget = 2.0; budget < 6.0; budget += 0.1) {
      const auto config = accurate({.max_bits_per_weight = budget}, shape.rows, shape.cols);
      const double used = bits(config, shape.rows, shape.cols);
      EXPECT_LE(used, budget) << shape.rows << " x " << shape.cols;
      // The widest gap: vectors of 9 bits in groups of 16 take 3.66, four bits in groups of 128 take 4.1.
      EXPECT_GT(used, budget - 0.45) << shape.rows << " x " << shape.cols;
    }
  }
  EXPECT_LE(bits(accurate({.max_bits_per_weight = 4.55}), 1024, 1024), 4.55);
}

// Column scales cost 16 / rows: a model's budget holds for the sum, not for each of its matrices.
TEST(Accurate, CountsAModelAsAWhole) {
  const std::vector<Shape> shapes{{64, 256}, {4096, 4096}};
  const auto config = accurate({.max_bits_per_weight = 4.45}, shapes);
  double stored = 0.0, weights = 0.0;
  for (const Shape& s : shapes) {
    stored += bits(config, s.rows, s.cols) * static_cast<double>(s.rows * s.cols);
    weights += static_cast<double>(s.rows * s.cols);
  }
  EXPECT_LE(stored, 4.45 * weights);
  EXPECT_GT(bits(config, 64, 256), 4.45);
}

TEST(Accurate, RefusesWhatCannotBe) {
  for (const double budget : {1.0, 0.0, -4.0, std::nan("")}) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"presets::accurate", "max_bits_per_weight"}, [&] {
      return accurate({.max_bits_per_weight = budget});
    })) << budget;
  }
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"presets::accurate", "no shapes"},
                           [&] { return accurate({.max_bits_per_weight = 4.0}, std::vector<Shape>{}); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"0 x 8"}, [&] { return accurate({.max_bits_per_weight = 4.0}, 0, 8); }));
}

// Issue: not tuned to one model, and nowhere worse than plain SINQ at as many bits. Left out are matrices without
// spread inside a group, or far from zero: they want zero points finer than six bits, and nothing of what levels give.
TEST(Accurate, IsNoWorseThanPlainSinqOfTheSameSize) {
  constexpr std::array<std::string_view, 5> kWithoutSpread{"constant", "all_zero", "lone_spike", "ramp", "offset"};
  for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
    // Beside a row of zeros, six bits of scale span a dozen octaves: 3% are lost to their coarse steps.
    const double tolerance = list == &sinq::test::ordinary_generators() ? 1.0 : 1.05;
    for (const auto& generator : *list) {
      if (std::find(kWithoutSpread.begin(), kWithoutSpread.end(), generator.name) != kWithoutSpread.end()) continue;
      for (const int code_bits : {2, 3, 4}) {
        const auto w = generator.make(256, 256, 21);
        const auto plain = quantize(view(w), Config<>{.quantizer = {.bits = code_bits}});
        const auto better =
            quantize(view(w), accurate({.max_bits_per_weight = plain.bits_per_weight()}, w.rows, w.cols));
        EXPECT_LE(better.bits_per_weight(), plain.bits_per_weight());
        const double plain_error = measure_error(view(w), plain).relative_frobenius;
        const double error = measure_error(view(w), better).relative_frobenius;
        // A weight of 5000 deviations is nearly all of its matrix; under six bits of zero point it is met to 0.4
        // to 1.5% (five seeds), plainly to 0.6 to 2.4%.
        const double slack = generator.name == std::string_view("one_spike") ? 0.01 : 1e-6;
        EXPECT_LE(error, tolerance * plain_error + slack) << generator.name << ", " << code_bits << " bits";
      }
    }
  }
}

}  // namespace
