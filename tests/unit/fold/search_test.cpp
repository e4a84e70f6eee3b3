#include <sinq/fold/search.hpp>

#include "fold_support.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldSearchTest, TheFirstOfTheBestWins) {
  std::vector<float> weights;
  for (int i = 0; i < 20 * 8; ++i) weights.push_back(static_cast<float>((i * 7919 % 101 - 50) * (1 + i % 8)));
  const std::vector<TensorShape> tensors{{"norm", {8}}, {"w", {20, 8}}};
  const Plan plan = make_plan({{.channels = 8, .producers = {{"norm"}}, .consumers = {{"w"}}}}, tensors);
  const MatrixLookup lookup = [&](const std::string&) { return MatrixView::row_major(weights.data(), 20, 8); };
  const std::vector<ScaleOptions> candidates{{.iterations = 0}, {.tile = 0}, {.tile = 8}, {.tile = 4}};
  std::vector<FactorMap> seen;
  const std::vector<double> losses{3.0, 1.0, 1.0, 2.0};
  const SearchResult result = search(plan, lookup, candidates, [&](const FactorMap& factors) {
    seen.push_back(factors);
    return losses[seen.size() - 1];
  });
  EXPECT_EQ(result.losses, losses);
  EXPECT_EQ(result.loss, 1.0);
  EXPECT_EQ(result.options, candidates[1]);
  EXPECT_EQ(result.factors, seen[1]);
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_EQ(seen[1], seen[2]);  // all eight channels either way
  expect_error([&] { static_cast<void>(search(plan, lookup, {}, [](const FactorMap&) { return 0.0; })); },
               Errc::kBadConfig, "no candidates");
}

TEST(FoldSearchTest, TheGridKeepsTheRest) {
  const auto grid = search_grid({.rounding = FactorRounding::kPowerOfTwo});
  EXPECT_EQ(grid.size(), 16);
  for (const ScaleOptions& options : grid) {
    options.validate();
    EXPECT_EQ(options.rounding, FactorRounding::kPowerOfTwo);
  }
}

}  // namespace
}  // namespace sinq::test
