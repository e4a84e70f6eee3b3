#include <sinq/fold/presets.hpp>
#include <sinq/fold/random_factors.hpp>

#include "fold_support.hpp"
#include "reference_model.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace sinq::test {

using namespace fold;
namespace {

/// One edge of `channels`, from a norm to a matrix.
Plan one_edge(Index channels) {
  return make_plan({{.channels = channels, .producers = {{"norm"}}, .consumers = {{"w"}}}},
                   std::vector<TensorShape>{{"norm", {channels}}, {"w", {3, channels}}});
}

Vector factors_of(const Plan& plan, const RandomFactorOptions& options) {
  const FactorMap factors = random_factors(plan, options);
  return factors.find("w")->cols;
}

TEST(RandomFactorsTest, KeepTheFunctionOfEveryFamily) {
  for (const Family family : {Family::kLlama, Family::kPhi3, Family::kGemma2, Family::kQwen3Moe, Family::kDeepseekV2}) {
    const Model model = make_model(tiny(family), 1, Biases::kAll);
    const FactorMap factors = random_factors(make_plan(model.arch, model.shapes()), {.seed = 7});
    const Model moved = folded(model, factors);
    EXPECT_LT(difference(model, moved), 1e-10);
    EXPECT_NE(moved.tensors.at("model.layers.1.input_layernorm.weight").values,
              model.tensors.at("model.layers.1.input_layernorm.weight").values);
  }
}

TEST(RandomFactorsTest, AreDistributedAsSaid) {
  constexpr Index kChannels = 100'000;
  const Plan plan = one_edge(kChannels);
  double sum = 0.0, squares = 0.0;
  for (const double t : factors_of(plan, {.seed = 1, .outlier = 1.0})) {
    sum += std::log(t);
    squares += std::log(t) * std::log(t);
  }
  EXPECT_NEAR(sum / kChannels, 0.0, 0.01);
  EXPECT_NEAR(std::sqrt(squares / kChannels), 0.7, 0.01);
  Index outliers = 0;
  for (const double t : factors_of(plan, {.seed = 2, .deviation = 0.0})) {
    EXPECT_TRUE(t == 1.0 || t == 8.0);
    outliers += t == 8.0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(outliers), 0.01 * kChannels, 100.0);
  const FactorMap factors = random_factors(plan);
  for (std::size_t c = 0; c < kChannels; ++c) {
    EXPECT_NEAR(factors.find("norm")->rows[c] * factors.find("w")->cols[c], 1.0, 1e-15);
  }
}

// What a seed means stays: figures that were measured with one can be measured again.
TEST(RandomFactorsTest, AreThoseOfTheirSeed) {
  const Plan plan = one_edge(4);
  const Vector t = factors_of(plan, {.seed = 1});
  const double expected[] = {0.976298279269, 0.490265078936, 0.241957208323, 0.358672322825};
  for (std::size_t c = 0; c < 4; ++c) EXPECT_NEAR(t[c], expected[c], 1e-9);
  EXPECT_EQ(factors_of(plan, {.seed = 1}), t);
  EXPECT_NE(factors_of(plan, {.seed = 2}), t);
}

TEST(RandomFactorsTest, PowersOfTwoAndChosenEdges) {
  for (const double t : factors_of(one_edge(1000), {.rounding = FactorRounding::kPowerOfTwo})) {
    int exponent = 0;
    EXPECT_EQ(std::frexp(t, &exponent), 0.5);
  }
  const FactorMap none = random_factors(one_edge(4), {.edges = {.norms = false}});
  EXPECT_TRUE(none.empty());
}

TEST(RandomFactorsTest, RefusesByName) {
  const Plan plan = one_edge(4);
  const auto refused = [&](const RandomFactorOptions& options, const std::string& why) {
    expect_error([&] { static_cast<void>(random_factors(plan, options)); }, Errc::kBadConfig, why);
  };
  refused({.deviation = -0.1}, "deviation -0.1");
  refused({.deviation = std::numeric_limits<double>::quiet_NaN()}, "deviation nan");
  refused({.outlier = 0.5}, "outlier 0.5");
  refused({.outlier = std::numeric_limits<double>::infinity()}, "outlier inf");
}

}  // namespace
}  // namespace sinq::test
