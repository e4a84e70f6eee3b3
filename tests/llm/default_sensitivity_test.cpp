#include "llm/default_sensitivity.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace llm::test {
namespace {

std::vector<NamedMatrix> model(Index layers) {
  std::vector<NamedMatrix> out;
  for (Index layer = 0; layer < layers; ++layer) {
    for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      out.push_back({"model.layers." + std::to_string(layer) + "." + name + ".weight", 64, 64});
    }
  }
  return out;
}

double of(const std::vector<NamedMatrix>& matrices, const std::string& name) {
  const auto alphas = default_sensitivities(matrices);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    if (matrices[i].name == name) return alphas[i];
  }
  ADD_FAILURE() << name;
  return 0;
}

// Units are means over the blocks' matrices, of two models: their mean is 1 but for rounding and interpolation.
TEST(DefaultSensitivity, IsAboutOneOnTheMean) {
  for (const Index layers : {4, 8, 32}) {
    const auto alphas = default_sensitivities(model(layers));
    const double mean = std::accumulate(alphas.begin(), alphas.end(), 0.0) / static_cast<double>(alphas.size());
    EXPECT_NEAR(mean, 1.0, 0.2) << layers;
    for (const double alpha : alphas) EXPECT_GT(alpha, 0.0);
  }
}

TEST(DefaultSensitivity, KnowsKindAndDepth) {
  const auto matrices = model(8);
  // What trellis.md found on lm30m: queries get the fewest bits, values more than keys.
  EXPECT_LT(of(matrices, "model.layers.3.self_attn.q_proj.weight"),
            0.5 * of(matrices, "model.layers.3.self_attn.v_proj.weight"));
  EXPECT_LT(of(matrices, "model.layers.3.self_attn.k_proj.weight"),
            of(matrices, "model.layers.3.self_attn.v_proj.weight"));
  EXPECT_LT(of(matrices, "model.layers.7.self_attn.v_proj.weight"),
            0.5 * of(matrices, "model.layers.0.self_attn.v_proj.weight"));
  // A single layer has a depth, too.
  EXPECT_GT(of(model(1), "model.layers.0.mlp.up_proj.weight"), 0.0);
}

TEST(DefaultSensitivity, TablesMatterMoreThanMatricesOfLayers) {
  auto matrices = model(4);
  matrices.push_back({"model.embed_tokens.weight", 1000, 64});
  matrices.push_back({"lm_head.weight", 1000, 64});
  const double embedding = of(matrices, "model.embed_tokens.weight"), head = of(matrices, "lm_head.weight");
  EXPECT_GT(embedding, 1.0);
  EXPECT_GT(head, 1.0);
  matrices.pop_back();
  EXPECT_DOUBLE_EQ(of(matrices, "model.embed_tokens.weight"), embedding + head);  // tied: it is both
}

TEST(DefaultSensitivity, WhatWasPutTogetherIsTheSum) {
  auto matrices = model(2);
  matrices.push_back({"model.layers.1.self_attn.qkv_proj.weight", 192, 64});
  matrices.push_back({"model.layers.1.mlp.gate_up_proj.weight", 128, 64});
  const std::string at = "model.layers.1.";
  EXPECT_DOUBLE_EQ(of(matrices, at + "self_attn.qkv_proj.weight"), of(matrices, at + "self_attn.q_proj.weight") +
                                                                       of(matrices, at + "self_attn.k_proj.weight") +
                                                                       of(matrices, at + "self_attn.v_proj.weight"));
  EXPECT_DOUBLE_EQ(of(matrices, at + "mlp.gate_up_proj.weight"),
                   of(matrices, at + "mlp.gate_proj.weight") + of(matrices, at + "mlp.up_proj.weight"));
}

TEST(DefaultSensitivity, ExpertsShareWhatALayerMatters) {
  auto matrices = model(2);
  const double dense = of(matrices, "model.layers.1.mlp.up_proj.weight");
  for (int i = 0; i < 4; ++i) {
    matrices.push_back({"model.layers.1.mlp.experts." + std::to_string(i) + ".up_proj.weight", 64, 64});
  }
  EXPECT_DOUBLE_EQ(of(matrices, "model.layers.1.mlp.experts.2.up_proj.weight"), dense / 4);
  EXPECT_EQ(experts_of("model.layers.1.mlp.experts.12.up_proj.weight"), "model.layers.1.mlp.experts.*.up_proj.weight");
  EXPECT_EQ(experts_of("model.layers.1.mlp.experts.up_proj.weight"), "");
  EXPECT_EQ(experts_of("model.layers.1.mlp.up_proj.weight"), "");
}

// Where nothing tells matrices apart, a budget should give all weights alike.
TEST(DefaultSensitivity, OtherKindsCountByTheirWeights) {
  const std::vector<NamedMatrix> unknown{{"a.layers.0.x.weight", 10, 8}, {"a.layers.0.y.weight", 20, 8}, {"z", 5, 8}};
  EXPECT_EQ(default_sensitivities(unknown), (std::vector<double>{80.0, 160.0, 40.0}));
  auto mixed = model(2);
  const double before = of(mixed, "model.layers.0.mlp.up_proj.weight");
  mixed.push_back({"model.layers.0.mamba.in.weight", 64, 64});
  EXPECT_EQ(of(mixed, "model.layers.0.mlp.up_proj.weight"), before);
  const auto known = default_sensitivities(model(2));
  const double mean = std::accumulate(known.begin(), known.end(), 0.0) / static_cast<double>(known.size());
  EXPECT_NEAR(of(mixed, "model.layers.0.mamba.in.weight"), mean, 1e-12);
}

}  // namespace
}  // namespace llm::test
