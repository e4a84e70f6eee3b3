#include <sinq/fold/presets.hpp>
#include <sinq/fold/scales.hpp>

#include "fold_support.hpp"
#include "reference_model.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

constexpr EdgeChoice kAllEdges{.norms = true, .up_down = true, .value_output = true, .head = true};

// Sums of some hundred terms in double, through two or three layers that may amplify: some 1e-14; 1e-12 leaves room.
constexpr double kSame = 1e-12;

class EveryFamily : public testing::TestWithParam<std::tuple<Family, Biases>> {
 protected:
  Model model() const { return make_model(tiny(std::get<0>(GetParam())), 1, std::get<1>(GetParam())); }
};

TEST_P(EveryFamily, ComputesTheSame) {
  const Model original = model();
  const Plan plan = make_plan(original.arch, original.shapes());
  const FactorMap factors = find_factors(plan, original.lookup(), {.tile = 8, .repeats = 2, .edges = kAllEdges});
  double most = 0.0;
  for (const auto& [name, tensor] : factors) {
    for (const double f : tensor.cols) most = std::max(most, std::abs(std::log2(f)));
  }
  EXPECT_GT(most, 0.5) << "nothing was folded";
  EXPECT_LT(difference(original, folded(original, factors)), kSame);
}

// With factors that no consumer would have chosen, edge by edge: each is exact on its own.
TEST_P(EveryFamily, EachEdgeIsExact) {
  const Model original = model();
  const Plan plan = make_plan(original.arch, original.shapes());
  sinq::test::Random random(2);
  for (const Edge& edge : plan.edges) {
    Vector scales(static_cast<std::size_t>(edge.channels));
    for (double& t : scales) t = std::exp2(2.0 * random.uniform() - 1.0);
    FactorMap factors;
    fold::detail::fold_in(edge, scales, plan, factors);
    EXPECT_LT(difference(original, folded(original, factors)), kSame) << edge.name();
    // One consumer less, or one producer, is another model: what the test would not see, it would not test.
    Edge less = edge;
    less.consumers.pop_back();
    factors = {};
    fold::detail::fold_in(less, scales, plan, factors);
    EXPECT_GT(difference(original, folded(original, factors)), 1e-6) << edge.name();
    less = edge;
    less.producers.pop_back();
    factors = {};
    fold::detail::fold_in(less, scales, plan, factors);
    EXPECT_GT(difference(original, folded(original, factors)), 1e-6) << edge.name();
  }
}

TEST_P(EveryFamily, RefusesAConsumerThatItDoesNotKnow) {
  Model strange = model();
  const std::string name = "model.layers.1.mlp.side_proj.weight";
  strange.tensors.emplace(name, Tensor{{3, strange.arch.hidden}, Vector(3 * 24, 0.1)});
  expect_error([&] { static_cast<void>(make_plan(strange.arch, strange.shapes())); }, Errc::kUnsupported, name);
}

INSTANTIATE_TEST_SUITE_P(Fold, EveryFamily,
                         testing::Combine(testing::Values(Family::kLlama, Family::kMistral, Family::kQwen2,
                                                          Family::kQwen3, Family::kPhi3, Family::kGemma,
                                                          Family::kGemma2, Family::kGemma3, Family::kQwen3Moe,
                                                          Family::kDeepseekV2),
                                          testing::Values(Biases::kNone, Biases::kAll)));

TEST(FoldPresetTest, LatentAttentionWithPlainQueries) {
  Architecture arch = tiny(Family::kDeepseekV2);
  arch.query_rank = 0;
  const Model original = make_model(arch, 3, Biases::kNone);
  const Plan plan = make_plan(arch, original.shapes());
  EXPECT_LT(difference(original, folded(original, find_factors(plan, original.lookup(), {.tile = 0}))), kSame);
}

// What the reference's script does with more than one KV head: o columns in the order of v rows, repeated one by one.
TEST(FoldPresetTest, AWrongMapOfHeadsIsAnotherModel) {
  const Model original = make_model(tiny(Family::kLlama), 4, Biases::kNone);
  Plan plan = make_plan(original.arch, original.shapes());
  std::erase_if(plan.edges, [](const Edge& edge) { return edge.kind != EdgeKind::kValueOutput; });
  const auto apart = [&] { return difference(original, folded(original, find_factors(plan, original.lookup()))); };
  EXPECT_LT(apart(), kSame);
  for (Edge& edge : plan.edges) edge.consumers[0].block = 1;
  EXPECT_GT(apart(), 1e-3);
}

TEST(FoldPresetTest, ATiedHeadIsNotFolded) {
  Architecture arch = tiny(Family::kQwen3);
  const auto heads = [&](const Model& model) {
    const Plan plan = make_plan(model.arch, model.shapes());
    return std::count_if(plan.edges.begin(), plan.edges.end(),
                         [](const Edge& edge) { return edge.kind == EdgeKind::kHead; });
  };
  Model model = make_model(arch, 5, Biases::kNone);
  EXPECT_EQ(heads(model), 0);
  model.tensors["lm_head.weight"] = model.tensors.at("model.embed_tokens.weight");  // as some files have it
  EXPECT_EQ(heads(model), 0);
  arch.tied_head = false;
  EXPECT_EQ(heads(make_model(arch, 5, Biases::kNone)), 1);
}

TEST(FoldPresetTest, RefusesWhatContradictsTheArchitecture) {
  const Model model = make_model(tiny(Family::kQwen3), 6, Biases::kNone);
  const auto refused = [&](Errc code, const std::string& why, auto&& change) {
    Model other = model;
    change(other);
    expect_error([&] { static_cast<void>(make_plan(other.arch, other.shapes())); }, code, why);
  };
  refused(Errc::kBadShape, "model.layers.0.mlp.up_proj.weight",
          [](Model& m) { m.tensors.erase("model.layers.0.mlp.up_proj.weight"); });
  refused(Errc::kBadShape, "model.layers.0.self_attn.k_proj.weight", [](Model& m) { m.arch.kv_heads = 3; });
  refused(Errc::kUnsupported, "model.layers.1", [](Model& m) { m.arch.layers = 1; });
  refused(Errc::kBadShape, "[24, 24]", [](Model& m) {
    m.tensors["model.layers.1.mlp.down_proj.weight"] = {{24, 24}, Vector(24 * 24)};
  });
  refused(Errc::kUnsupported, "k_norm", [](Model& m) { m.arch.family = Family::kLlama; });
  refused(Errc::kUnsupported, "weight_scale", [](Model& m) {
    m.tensors["model.layers.1.mlp.down_proj.weight_scale"] = {{1}, {1.0}};
  });
  // A config.json is not trusted: no loop and no memory beyond what the tensors justify.
  refused(Errc::kBadConfig, "layers", [](Model& m) { m.arch.layers = Index{1} << 40; });
  refused(Errc::kBadConfig, "experts", [](Model& m) { m.arch.experts = Index{1} << 31; });
  refused(Errc::kBadConfig, "kv_heads", [](Model& m) { m.arch.kv_heads = 0; });
  refused(Errc::kBadConfig, "kv_heads", [](Model& m) { m.arch.kv_heads = 4; });
  refused(Errc::kBadConfig, "head_dim", [](Model& m) { m.arch.head_dim = Index{1} << 40; });
}

}  // namespace
}  // namespace sinq::test
