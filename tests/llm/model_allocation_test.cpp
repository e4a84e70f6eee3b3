#include "llm/model_allocation.hpp"

#include <sinq/any_config.hpp>

#include "llm/sensitivity.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ModelAllocations : public testing::Test {
 protected:
  ModelAllocations() {
    for (int i = 0; i < 6; ++i) {
      matrices_.push_back({"model.layers." + std::to_string(i) + ".w.weight", 512, 512});
      // Each matters four times as much as the one before: one bit.
      file_.matrices.push_back({.name = matrices_.back().name, .alpha = std::pow(4.0, i), .kl = 1.0, .error = 1.0});
    }
    file_.model = {{"name", "tiny"}, {"files", files_}};
    file_.measured = Json::object();
    write();
  }
  void write() { write_text(path_, to_json(file_).dump()); }

  ModelAllocation allocate(double bits, const std::vector<std::string>& fixed = {}) {
    return allocate_model({.max_bits_per_weight = bits, .sensitivity = path_, .fixed = fixed}, matrices_,
                          [&] { return files_; });
  }
  template <class Action>
  void refused(sinq::Errc code, const std::string& why, Action action) {
    try {
      static_cast<void>(action());
      ADD_FAILURE() << why;
    } catch (const sinq::Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }

  TemporaryFolder folder_{"allocation"};
  std::filesystem::path path_ = folder_.path() / "s.json";
  Json files_{{"model.safetensors", {{"bytes", 7}, {"samples_xxh64", "0123456789abcdef"}}}};
  Sensitivities file_;
  std::vector<NamedMatrix> matrices_;
};

TEST_F(ModelAllocations, WhatMattersMoreGetsMoreBitsWithinTheBudget) {
  for (const double budget : {2.3, 3.55, 4.55}) {
    const ModelAllocation chosen = allocate(budget);
    ASSERT_EQ(chosen.matrices.size(), 6U);
    double bits = 0.0, loss = 0.0;
    for (std::size_t i = 0; i < 6; ++i) {
      const AllocatedMatrix& m = chosen.matrices[i];
      EXPECT_EQ(m.matrix.name, matrices_[i].name);
      EXPECT_EQ(m.bits_per_weight, bits_per_weight(layout_for(m.recipe.config, 512, 512)));
      EXPECT_GE(m.bits_per_weight, chosen.matrices[i == 0 ? 0 : i - 1].bits_per_weight);
      bits += m.bits_per_weight / 6.0;
      loss += m.alpha * m.recipe.error;
    }
    EXPECT_LE(bits, budget * (1 + 1e-12));
    EXPECT_GT(bits, budget - 0.02);
    EXPECT_NEAR(bits, chosen.bits_per_weight, 1e-12);
    EXPECT_NEAR(loss, *chosen.predicted_kl(), 1e-9 * loss);
    EXPECT_GT(chosen.matrices[5].bits_per_weight, chosen.matrices[0].bits_per_weight + 2.0);
    // Six matrices alike would lose this.
    const auto alike = sinq::presets::accurate({budget}, 512, 512);
    for (const auto& recipe : sinq::presets::recipes()) {
      if (!(recipe.config == alike)) continue;
      EXPECT_LT(loss, 0.75 * recipe.error * 1365.0) << budget;
    }
    EXPECT_EQ(&chosen.of(matrices_[2].name), &chosen.matrices[2]);
  }
}

TEST_F(ModelAllocations, FixedRecipesStayAndAreCounted) {
  const ModelAllocation free = allocate(3.5);
  const ModelAllocation chosen =
      allocate(3.5, {"*.0.w*=learned-6-g64", "*.1.w.*=learned-3-g64", "*.0.*=learned-5-g32"});
  EXPECT_EQ(chosen.matrices[0].recipe.name, "learned-5-g32");  // the last match
  EXPECT_EQ(chosen.matrices[1].recipe.name, "learned-3-g64");
  EXPECT_TRUE(chosen.matrices[0].is_fixed && chosen.matrices[1].is_fixed && !chosen.matrices[2].is_fixed);
  EXPECT_LE(chosen.bits_per_weight, 3.5);
  EXPECT_GT(chosen.loss, free.loss);
  const auto refuses = [&](const std::string& fixed, const std::string& why) {
    refused(sinq::Errc::kBadConfig, why, [&] { return allocate(3.5, {fixed}); });
  };
  refuses("learned-6-g64", "is not PATTERN=RECIPE");
  refuses("*=q4_k", "recipe 'q4_k' is none of learned-8, ");
  refuses("*.9.*=learned-6-g64", "matches no matrix");
  refuses("*=learned-6-g64", "max_bits_per_weight 3.5");
}

TEST_F(ModelAllocations, ExpertsOfALayerGetOneRecipe) {
  matrices_.clear();
  file_.matrices.clear();
  for (int i = 0; i < 8; ++i) {
    matrices_.push_back({"model.layers.0.mlp.experts." + std::to_string(i) + ".up_proj.weight", 256, 128});
    file_.matrices.push_back({.name = matrices_.back().name, .alpha = std::pow(4.0, i), .kl = 1.0, .error = 1.0});
  }
  write();
  const ModelAllocation chosen = allocate(3.3);
  for (const AllocatedMatrix& m : chosen.matrices) EXPECT_EQ(m.recipe.name, chosen.matrices[0].recipe.name);
}

TEST_F(ModelAllocations, WithoutAFileKindAndDepthDecide) {
  matrices_ = {{"model.layers.0.self_attn.q_proj.weight", 512, 512},
               {"model.layers.0.self_attn.v_proj.weight", 512, 512}};
  const ModelAllocation chosen = allocate_model({.max_bits_per_weight = 4.0}, matrices_, {});
  EXPECT_LT(chosen.matrices[0].bits_per_weight, chosen.matrices[1].bits_per_weight);
  EXPECT_FALSE(chosen.predicted_kl());
  EXPECT_THAT(summary_of(chosen), AllOf(HasSubstr("default sensitivities"), HasSubstr("KL not predicted")));
  EXPECT_TRUE(to_json(chosen)["predicted_kl"].is_null());
  EXPECT_EQ(to_json(chosen)["sensitivity"], "default");
}

TEST_F(ModelAllocations, TheFileMustBeOfTheModel) {
  files_["model.safetensors"]["bytes"] = 8;
  refused(sinq::Errc::kBadFile, "s.json: was measured on another model, 'tiny': model.safetensors.bytes was 7 and is 8",
          [&] { return allocate(4.0); });
  files_["model.safetensors"]["bytes"] = 7;
  file_.matrices.erase(file_.matrices.begin());
  write();
  refused(sinq::Errc::kBadFile, "has no sensitivity of 'model.layers.0.w.weight'", [&] { return allocate(4.0); });
  // More than is asked for is of no harm: some matrices may stay as they are.
  matrices_.erase(matrices_.begin());
  file_.matrices.push_back({.name = "model.embed_tokens.weight", .alpha = 3.0});
  write();
  EXPECT_EQ(allocate(4.0).matrices.size(), 5U);
}

TEST_F(ModelAllocations, TheLeastPossibleBudgetIsNamed) {
  refused(sinq::Errc::kBadConfig, "max_bits_per_weight 0.5: ", [&] { return allocate(0.5); });
  refused(sinq::Errc::kBadConfig, "least possible", [&] { return allocate(0.5); });
  refused(sinq::Errc::kBadConfig, "not a number", [&] { return allocate(std::nan("")); });
}

TEST_F(ModelAllocations, TheTableSaysWhatEachGets) {
  const ModelAllocation chosen = allocate(3.55, {"*.0.*=learned-5-g32"});
  const std::string table = table_of(chosen);
  EXPECT_THAT(table, AllOf(HasSubstr("matrix"), HasSubstr("alpha"), HasSubstr("recipe"), HasSubstr("share of loss"),
                           HasSubstr("learned-5-g32"), HasSubstr("fixed"), HasSubstr("1024")));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 7);
  EXPECT_THAT(summary_of(chosen),
              AllOf(HasSubstr(path_.string()), HasSubstr("of at most 3.550"), HasSubstr("predicted KL ")));
  const Json json = to_json(chosen);
  double share = 0.0;
  for (const Json& matrix : json["matrices"]) share += matrix["share"].get<double>();
  EXPECT_NEAR(share, 1.0, 1e-12);
  EXPECT_EQ(json["predicted_kl"], chosen.loss);
  EXPECT_EQ(json["matrices"][0]["recipe"], "learned-5-g32");
  EXPECT_EQ(json["matrices"][0]["fixed"], true);
}

}  // namespace
}  // namespace llm::test
