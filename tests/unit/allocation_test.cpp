#include <sinq/allocation.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace {

using sinq::Allocation;
using sinq::AllocationMatrix;
using sinq::Errc;
using sinq::RecipeCost;
using sinq::test::throws_error;

/// Half bits from 1.5 to 4.5, with the error of a code that loses 6 dB per bit.
std::vector<RecipeCost> half_bits() {
  std::vector<RecipeCost> out;
  for (double bits = 1.5; bits <= 4.5; bits += 0.5) out.push_back({bits + 0.13, std::pow(4.0, -bits)});
  return out;
}

/// Random bits and errors: neither convex nor even falling.
std::vector<RecipeCost> any_recipes(std::mt19937& random, int count) {
  std::uniform_real_distribution<double> bits(1.0, 8.0), error(0.0, 1.0);
  std::vector<RecipeCost> out;
  for (int i = 0; i < count; ++i) out.push_back({bits(random), error(random)});
  return out;
}

std::vector<AllocationMatrix> model(std::mt19937& random, int count, bool is_convex) {
  std::lognormal_distribution<double> sensitivity(0.0, 1.0);
  std::uniform_int_distribution<int> size(1, 12);
  std::vector<AllocationMatrix> out;
  for (int i = 0; i < count; ++i) {
    out.push_back({.name = "matrix " + std::to_string(i),
                   .weights = 65536.0 * size(random),
                   .sensitivity = sensitivity(random),
                   .recipes = is_convex ? half_bits() : any_recipes(random, 5),
                   .group = {}});
  }
  return out;
}

double all_weights(const std::vector<AllocationMatrix>& matrices) {
  double sum = 0.0;
  for (const auto& m : matrices) sum += m.weights;
  return sum;
}

/// The least loss of all choices that fit, by trying every one.
double least_loss(const std::vector<AllocationMatrix>& matrices, double max_bits, std::size_t i = 0) {
  if (i == matrices.size()) return 0.0;
  double least = std::numeric_limits<double>::infinity();
  for (const RecipeCost& recipe : matrices[i].recipes) {
    const double bits = recipe.bits_per_weight * matrices[i].weights;
    if (bits > max_bits) continue;
    least = std::min(least, recipe.error * matrices[i].sensitivity + least_loss(matrices, max_bits - bits, i + 1));
  }
  return least;
}

TEST(Allocate, IsAsGoodAsTryingEverything) {
  std::mt19937 random(7);
  for (const bool is_convex : {true, false}) {
    for (int trial = 0; trial < 60; ++trial) {
      const auto matrices = model(random, 1 + trial % 6, is_convex);
      std::uniform_real_distribution<double> budget(is_convex ? 1.7 : 4.0, 6.0);
      const double max_bits = budget(random) * all_weights(matrices);
      const double least = least_loss(matrices, max_bits);
      if (std::isinf(least)) {
        EXPECT_TRUE(throws_error(Errc::kBadConfig, {"least possible"}, [&] { return allocate(matrices, max_bits); }));
        continue;
      }
      const Allocation chosen = allocate(matrices, max_bits);
      EXPECT_LE(chosen.bits, max_bits * (1.0 + 1e-12));
      EXPECT_NEAR(chosen.loss, least, 1e-12 * (1.0 + least)) << "trial " << trial;
      EXPECT_LE(chosen.least_loss, least * (1.0 + 1e-12)) << "a bound, or it is none";
    }
  }
}

TEST(Allocate, IsCloseToTheBoundForWholeModels) {
  std::mt19937 random(11);
  for (const bool is_convex : {true, false}) {
    const auto matrices = model(random, 220, is_convex);
    for (const double budget : {2.3, 2.85, 3.55, 4.3}) {
      const Allocation chosen = allocate(matrices, budget * all_weights(matrices));
      EXPECT_LE(chosen.bits, budget * all_weights(matrices) * (1.0 + 1e-12));
      // The choices are exact; of recipes at random, the bound itself lies up to 0.12% below the best.
      EXPECT_LE(chosen.loss, (is_convex ? 1.001 : 1.002) * chosen.least_loss) << budget;
    }
  }
}

TEST(Allocate, GivesMoreToWhatMattersMore) {
  std::vector<AllocationMatrix> matrices(4);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    matrices[i] = {.name = "m",
                   .weights = 1000.0,
                   .sensitivity = std::pow(4.0, static_cast<double>(i)),
                   .recipes = half_bits(),
                   .group = {}};
  }
  const Allocation chosen = allocate(matrices, (3.0 + 0.13) * 4000.0);
  EXPECT_EQ(chosen.recipes, (std::vector<std::size_t>{0, 2, 4, 6})) << "1.5, 2.5, 3.5, 4.5 bits: a bit per factor of 4";
}

TEST(Allocate, GroupsShareARecipe) {
  std::mt19937 random(3);
  auto matrices = model(random, 9, true);
  for (std::size_t i = 0; i < 6; ++i) matrices[i].group = i % 2 == 0 ? "qkv" : "experts";
  const Allocation chosen = allocate(matrices, 2.9 * all_weights(matrices));
  for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(chosen.recipes[i], chosen.recipes[i - 2]) << i;
  EXPECT_LE(chosen.bits, 2.9 * all_weights(matrices));
}

TEST(Allocate, KeepsFloorsAndCeilings) {
  std::mt19937 random(5);
  auto matrices = model(random, 6, true);
  matrices[0].min_bits_per_weight = 4.0;
  matrices[0].sensitivity = 0.0;
  matrices[1].max_bits_per_weight = 2.0;
  matrices[1].sensitivity = 1e6;
  const Allocation chosen = allocate(matrices, 4.0 * all_weights(matrices));
  EXPECT_EQ(matrices[0].recipes[chosen.recipes[0]].bits_per_weight, 4.13) << "the least above its floor";
  EXPECT_EQ(matrices[1].recipes[chosen.recipes[1]].bits_per_weight, 1.63) << "the greatest below its ceiling";
}

TEST(Allocate, TakesTheBestOfAllWithoutALimit) {
  std::mt19937 random(9);
  const auto matrices = model(random, 5, true);
  const Allocation chosen = allocate(matrices, std::numeric_limits<double>::infinity());
  for (const std::size_t recipe : chosen.recipes) EXPECT_EQ(recipe, 6U);
  EXPECT_NEAR(chosen.loss, chosen.least_loss, 1e-12);
}

TEST(Allocate, SpendsNothingForNothing) {
  auto recipes = half_bits();
  recipes.push_back({8.0, recipes.front().error});  // dearer, and no better
  const std::vector<AllocationMatrix> matrices{
      {.name = "m", .weights = 10.0, .sensitivity = 0.0, .recipes = recipes, .group = {}}};
  EXPECT_EQ(allocate(matrices, 1000.0).recipes, std::vector<std::size_t>{0});
}

TEST(Allocate, NamesWhatItRefuses) {
  const AllocationMatrix good{
      .name = "layers.0.q_proj", .weights = 100.0, .sensitivity = 1.0, .recipes = half_bits(), .group = {}};
  const auto refuses = [&](Errc code, std::vector<std::string_view> words, auto change, double max_bits = 400.0) {
    std::vector<AllocationMatrix> matrices{good, good};
    change(matrices);
    for (const auto word : words) {
      EXPECT_TRUE(throws_error(code, {word}, [&] { return allocate(matrices, max_bits); })) << word;
    }
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  using Matrices = std::vector<AllocationMatrix>;
  refuses(Errc::kBadShape, {"no matrices"}, [](Matrices& m) { m.clear(); });
  refuses(
      Errc::kBadConfig, {"max_bits"}, [](Matrices&) {}, kNan);
  refuses(
      Errc::kBadConfig, {"max_bits 200 (1 per weight)", "326 (1.63 per weight)"}, [](Matrices&) {}, 200.0);
  refuses(Errc::kBadConfig, {"layers.0.q_proj", "weights 0"}, [](Matrices& m) { m[1].weights = 0.0; });
  refuses(Errc::kBadConfig, {"sensitivity -1"}, [](Matrices& m) { m[1].sensitivity = -1.0; });
  refuses(Errc::kBadConfig, {"sensitivity nan"}, [](Matrices& m) { m[1].sensitivity = kNan; });
  refuses(Errc::kBadConfig, {"no recipes"}, [](Matrices& m) { m[1].recipes.clear(); });
  refuses(Errc::kBadConfig, {"error nan"}, [](Matrices& m) { m[1].recipes[2].error = kNan; });
  refuses(Errc::kBadConfig, {"bits_per_weight -1"}, [](Matrices& m) { m[1].recipes[2].bits_per_weight = -1.0; });
  refuses(Errc::kBadConfig, {"min_bits_per_weight 5"}, [](Matrices& m) { m[1].min_bits_per_weight = 5.0; });
  refuses(Errc::kBadConfig, {"group g"}, [](Matrices& m) {
    m[0].group = m[1].group = "g";
    m[1].recipes.pop_back();
  });
}

}  // namespace
