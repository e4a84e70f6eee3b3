#include <sinq/fold/presets.hpp>
#include <sinq/fold/rounding.hpp>
#include <sinq/fold/scales.hpp>
#include <sinq/normalize/imbalance.hpp>

#include "fold_support.hpp"
#include "reference_model.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

struct TestEdge {
  std::vector<float> weights;
  Plan plan;

  TestEdge(Index rows, Index cols, std::uint64_t seed)
      : plan(make_plan({{.channels = cols, .producers = {{"norm"}}, .consumers = {{"w"}}}},
                       std::vector<TensorShape>{{"norm", {cols}}, {"w", {rows, cols}}})) {
    sinq::test::Random random(seed);
    Vector column(static_cast<std::size_t>(cols));
    for (double& c : column) c = std::exp2(random.gaussian());
    for (Index r = 0; r < rows; ++r) {
      for (const double c : column) weights.push_back(static_cast<float>(c * random.gaussian()));
    }
  }
  [[nodiscard]] Index rows() const { return plan.shapes.at("w")[0]; }
  [[nodiscard]] Index cols() const { return plan.shapes.at("w")[1]; }
  [[nodiscard]] MatrixView view() const { return MatrixView::row_major(weights.data(), rows(), cols()); }
  [[nodiscard]] FactorMap factors(const ScaleOptions& options) const {
    return find_factors(
        plan, [&](const std::string&) { return view(); }, options);
  }
  /// What the producer is multiplied with.
  [[nodiscard]] Vector scales(const ScaleOptions& options) const {
    const FactorMap found = factors(options);
    return found.find("norm")->rows;
  }
  void apply(const FactorMap& factors) {
    Vector values(weights.begin(), weights.end());
    factors.find("w")->apply({0, rows()}, cols(), values.data());
    for (std::size_t i = 0; i < values.size(); ++i) weights[i] = static_cast<float>(values[i]);
  }
};

TEST(FoldScalesTest, BalancesColumns) {
  TestEdge edge(200, 64, 1);
  const double before = imbalance(edge.view());
  const FactorMap factors = edge.factors({.tile = 0});
  edge.apply(factors);
  EXPECT_GT(before, 20.0);
  EXPECT_LT(imbalance(edge.view()), before / 8.0);
  // Producer and consumer cancel, and the geometric mean is 1.
  double sum = 0.0;
  for (std::size_t c = 0; c < 64; ++c) {
    EXPECT_NEAR(factors.find("w")->cols[c] * factors.find("norm")->rows[c], 1.0, 1e-15);
    sum += std::log(factors.find("norm")->rows[c]);
  }
  EXPECT_NEAR(sum, 0.0, 1e-12);
}

// A model that was folded is balanced: folding it again does nothing.
TEST(FoldScalesTest, FoldingTwiceIsFoldingOnce) {
  for (const Index tile : {0, 16}) {
    TestEdge edge(200, 64, 2);
    edge.apply(edge.factors({.tile = tile, .repeats = 3}));
    for (const double t : edge.scales({.tile = tile})) EXPECT_NEAR(t, 1.0, 0.02);
  }
}

// Each factor is a power of two, so bf16 and f16 weights keep sign and mantissa.
TEST(FoldScalesTest, PowersOfTwoKeepMantissas) {
  TestEdge edge(50, 64, 3);
  const FactorMap factors = edge.factors({.tile = 16, .rounding = FactorRounding::kPowerOfTwo});
  const Factors& w = *factors.find("w");
  Index changed = 0;
  RangeReport report;
  for (Index r = 0; r < edge.rows(); ++r) {
    for (Index c = 0; c < edge.cols(); ++c) {
      const std::uint16_t before = float_to_bfloat16(edge.weights[static_cast<std::size_t>(r * edge.cols() + c)]);
      const double scaled = static_cast<double>(bfloat16_to_float(before)) * w.cols[static_cast<std::size_t>(c)];
      std::uint16_t after = 0;
      round_to(ScalarType::kBf16, std::span(&scaled, 1), reinterpret_cast<std::byte*>(&after), report);
      EXPECT_EQ(before & 0x807fU, after & 0x807fU);
      changed += before != after ? 1 : 0;
    }
  }
  EXPECT_GT(changed, 1000);
  EXPECT_EQ(report.underflowed, 0);
}

TEST(FoldScalesTest, DegenerateMatricesGiveSaneFactors) {
  const auto check = [](const TestEdge& edge, const char* what) {
    for (const Index tile : {0, 8}) {
      for (const double t : edge.scales({.tile = tile, .repeats = 2})) {
        EXPECT_TRUE(std::isfinite(t) && t >= 1.0 / 1024 && t <= 1024.0) << what << ": " << t;
      }
    }
  };
  TestEdge zero_column(40, 16, 4);
  for (std::size_t r = 0; r < 40; ++r) zero_column.weights[r * 16 + 5] = 0.0F;
  check(zero_column, "a zero column");
  EXPECT_EQ(zero_column.scales({.tile = 0})[5], 1.0);
  TestEdge constant(40, 16, 5);
  std::fill(constant.weights.begin(), constant.weights.end(), 0.25F);
  check(constant, "a constant matrix");
  std::fill(constant.weights.begin(), constant.weights.end(), 0.0F);
  check(constant, "zeros");
  TestEdge wild(40, 16, 6);
  for (std::size_t r = 0; r < 40; ++r) wild.weights[r * 16 + 3] *= 1e12F;
  check(wild, "a wild column");
  check(TestEdge(1, 16, 7), "one row");
  check(TestEdge(40, 1, 8), "one column");
}

TEST(FoldScalesTest, RefusesWhatIsNoNumberOrNoOption) {
  TestEdge edge(8, 16, 9);
  expect_error([&] { static_cast<void>(edge.factors({.tile = -1})); }, Errc::kBadConfig, "tile -1");
  expect_error([&] { static_cast<void>(edge.factors({.iterations = -1})); }, Errc::kBadConfig, "iterations");
  expect_error([&] { static_cast<void>(edge.factors({.repeats = 0})); }, Errc::kBadConfig, "repeats 0");
  edge.weights[20] = NAN;
  expect_error([&] { static_cast<void>(edge.factors({})); }, Errc::kBadData, "tensor 'w': row 1, column 4 is nan");
  edge.weights[20] = 3.39e38F;  // large, and a number
  EXPECT_NO_THROW(static_cast<void>(edge.factors({})));
}

TEST(FoldScalesTest, FoldsTheChosenEdgesOnly) {
  const Model model = make_model(tiny(Family::kMistral), 10, Biases::kNone);
  const Plan plan = make_plan(model.arch, model.shapes());
  const FactorMap norms = find_factors(
      plan, model.lookup(), {.edges = {.norms = true, .up_down = false, .value_output = false, .head = false}});
  const std::string layer = "model.layers.0.";
  EXPECT_NE(norms.find(layer + "input_layernorm.weight"), nullptr);
  EXPECT_TRUE(norms.find(layer + "mlp.up_proj.weight")->rows.empty());
  EXPECT_EQ(norms.find(layer + "mlp.down_proj.weight"), nullptr);
  EXPECT_EQ(norms.find("lm_head.weight"), nullptr);
  const FactorMap head = find_factors(
      plan, model.lookup(), {.edges = {.norms = false, .up_down = false, .value_output = false, .head = true}});
  EXPECT_EQ(head.size(), 2);
}

TEST(FoldScalesTest, EveryEdgeThatIsDoneIsTold) {
  const Model model = make_model(tiny(Family::kMistral), 11, Biases::kNone);
  const Plan plan = make_plan(model.arch, model.shapes());
  std::vector<const Edge*> expected, told;
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (const Edge& edge : plan.edges) {
      if (edge.kind != EdgeKind::kHead) expected.push_back(&edge);
    }
  }
  static_cast<void>(
      find_factors(plan, model.lookup(), {.repeats = 2}, [&](const Edge& edge) { told.push_back(&edge); }));
  EXPECT_EQ(told, expected);
}

// The router is compensated but has no say: a huge one changes nothing.
TEST(FoldScalesTest, TheRouterHasNoSay) {
  Model model = make_model(tiny(Family::kQwen3Moe), 11, Biases::kNone);
  const Plan plan = make_plan(model.arch, model.shapes());
  const FactorMap before = find_factors(plan, model.lookup());
  for (double& v : model.tensors.at("model.layers.1.mlp.gate.weight").values) v *= 1000.0;
  EXPECT_EQ(find_factors(plan, model.lookup()), before);
  EXPECT_FALSE(before.find("model.layers.1.mlp.gate.weight")->cols.empty());
}

}  // namespace
}  // namespace sinq::test
