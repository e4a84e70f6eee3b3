#include "gguf/mixture.hpp"

#include "gguf/convert.hpp"
#include "gguf_models.hpp"
#include "llm/evaluate.hpp"
#include "llm/sensitivity.hpp"
#include "llm/token_blocks.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

namespace gguf::test {
namespace {

namespace fs = std::filesystem;
using sinq_test::expect_error;
using testing::HasSubstr;

ConvertOptions mixed(const MixtureOptions& mixture) { return {.model = embedded_model(), .mixture = mixture}; }

const MixedTensor& of(const Mixture& mixture, const std::string& name) {
  return *std::find_if(mixture.tensors.begin(), mixture.tensors.end(), [&](const auto& t) { return t.name == name; });
}

/// A file of sensitivities: `alpha` of each matrix of the embedded model, by its name.
fs::path write_sensitivities(const TemporaryFolder& folder, const std::function<double(const std::string&)>& alpha) {
  llm::Sensitivities out{
      .model = {{"name", "lm1m"}, {"files", Json::object()}}, .measured = Json::object(), .matrices = {}};
  const auto add = [&](const std::string& name) {
    out.matrices.push_back({.name = name, .alpha = alpha(name), .kl = 0.1, .error = 0.1});
  };
  add("model.embed_tokens.weight");
  const auto config = llm::ModelConfig::open(embedded_model());
  for (Index layer = 0; layer < config.layers; ++layer) {
    for (std::size_t i = 0; i < llm::kBlockLinears.size(); ++i) add(llm::LinearId{layer, i}.name() + ".weight");
  }
  const auto file = folder.path() / "sensitivity.json";
  llm::test::write_text(file, to_json(out).dump());
  return file;
}

TEST(Mixture, TakesWhatItMayAndLosesLessThanOneTypeOfThatSize) {
  const TemporaryFolder folder("gguf_mixture");
  const auto kl = [](const fs::path& file) {
    auto blocks = llm::blocks_from_tokens(embedded_model() / "samples.safetensors", 64);
    blocks.limit(8);
    const auto baseline = llm::read_baseline(llm::Model::open(embedded_model()), blocks, 0, 0);
    return llm::evaluate(llm::Model::open(file), blocks, &baseline, 0).kl;
  };
  const auto plain =
      convert(folder, {.model = embedded_model(), .type = GgufType::kQ5_0, .embeddings = GgufType::kQ5_0});
  const double plain_kl = kl(plain);
  const auto size = fs::file_size(plain);
  Conversion conversion(mixed({.max_bytes = size}));
  const Mixture& mixture = *conversion.mixture();
  EXPECT_EQ(mixture.tensors.size(), 29U);
  EXPECT_LE(mixture.bytes, size);
  EXPECT_GT(mixture.bytes, size - size / 50);
  EXPECT_FALSE(mixture.predicted_kl().has_value());
  const auto file = folder.path() / "mixed.gguf";
  conversion.write(file);
  EXPECT_EQ(fs::file_size(file), mixture.bytes);
  EXPECT_LT(kl(file), plain_kl);
}

TEST(Mixture, SaysWhatItChoseAndWhatItCosts) {
  const Conversion conversion(mixed({.max_bits_per_weight = 6.0}));
  const Mixture& mixture = *conversion.mixture();
  double bits = 0.0, weights = 0.0, loss = 0.0;
  std::set<GgufType> types;
  for (const auto& tensor : mixture.tensors) {
    bits += tensor.bits_per_weight * static_cast<double>(tensor.weights);
    weights += static_cast<double>(tensor.weights);
    loss += tensor.alpha * tensor.error;
    types.insert(tensor.type);
    EXPECT_FALSE(tensor.is_fixed);
    if (tensor.type == GgufType::kF16) continue;
    // Error of b bits: within a factor of 4 of that of a uniform grid on what is in a block.
    EXPECT_GT(tensor.error, std::exp2(-2.0 * tensor.bits_per_weight)) << tensor.name;
    EXPECT_LT(tensor.error, std::exp2(4.0 - 2.0 * tensor.bits_per_weight)) << tensor.name;
  }
  EXPECT_LE(bits / weights, 6.0);
  EXPECT_NEAR(mixture.bits_per_weight, bits / weights, 1e-9);
  EXPECT_NEAR(mixture.loss, loss, 1e-9 * loss);
  EXPECT_GT(types.size(), 1U);
  for (const auto& planned : conversion.plans().front().tensors) {
    if (planned.shape.size() != 2) continue;
    EXPECT_EQ(planned.type, of(mixture, planned.name).type);
  }
  EXPECT_THAT(table_of(mixture), HasSubstr("  blk.0.attn_q.weight "));
  EXPECT_THAT(conversion.notes(), testing::Contains(HasSubstr("KL not predicted")));
}

TEST(Mixture, FollowsTheSensitivitiesOfAFile) {
  const TemporaryFolder folder("gguf_alphas");
  const std::string favourite = "model.layers.2.mlp.up_proj.weight";
  const auto file = write_sensitivities(folder, [&](const std::string& name) { return name == favourite ? 1e4 : 0.1; });
  const Conversion conversion(mixed({.max_bits_per_weight = 5.5, .sensitivity = file}));
  EXPECT_EQ(of(*conversion.mixture(), "blk.2.ffn_up.weight").type, GgufType::kF16);
  EXPECT_DOUBLE_EQ(of(*conversion.mixture(), "blk.2.ffn_up.weight").alpha, 1e4);
  EXPECT_LT(of(*conversion.mixture(), "blk.2.ffn_gate.weight").bits_per_weight, 8.0);
  EXPECT_TRUE(conversion.mixture()->predicted_kl().has_value());
  EXPECT_THAT(conversion.inputs(), testing::Contains(file));
}

TEST(Mixture, TensorsWithATypeOfTheirOwnKeepIt) {
  ConvertOptions options = mixed({.max_bits_per_weight = 6.0});
  options.type_of = {{"blk.*.attn_v.weight", GgufType::kQ8_0}, {"blk.3.*", GgufType::kQ4_1}};
  options.embeddings = GgufType::kQ5_1;
  const Conversion conversion(options);
  const Mixture& mixture = *conversion.mixture();
  EXPECT_EQ(of(mixture, "blk.0.attn_v.weight").type, GgufType::kQ8_0);
  EXPECT_TRUE(of(mixture, "blk.0.attn_v.weight").is_fixed);
  EXPECT_EQ(of(mixture, "blk.3.attn_v.weight").type, GgufType::kQ4_1) << "the last one counts";
  EXPECT_EQ(of(mixture, "token_embd.weight").type, GgufType::kQ5_1);
  EXPECT_FALSE(of(mixture, "blk.0.attn_q.weight").is_fixed);
  EXPECT_LE(mixture.bits_per_weight, 6.0);
  options.type_of.push_back({"blk.9.*", GgufType::kQ4_1});
  expect_error(
      sinq::Errc::kBadConfig, [&] { static_cast<void>(Conversion(options)); }, "--type-of 'blk.9.*' fits no");
}

TEST(Mixture, OverridesAreOfUseWithoutOneToo) {
  ConvertOptions options{.model = embedded_model(), .type = GgufType::kQ8_0};
  options.type_of = {{"*.ffn_down.*", GgufType::kQ4_0}};
  const Conversion conversion(options);
  EXPECT_EQ(conversion.mixture(), nullptr);
  for (const auto& tensor : conversion.plans().front().tensors) {
    if (tensor.shape.size() == 1 || tensor.name == "token_embd.weight") continue;
    const bool is_down = tensor.name.find("ffn_down") != std::string::npos;
    EXPECT_EQ(tensor.type, is_down ? GgufType::kQ4_0 : GgufType::kQ8_0) << tensor.name;
  }
}

TEST(Mixture, IsAsLargeAsLlamaCppsOfThatNameAndCalledSo) {
  const LlamaMixture* q4_k_m = llama_mixture("q4_k_m");
  const Conversion conversion(mixed({.like = q4_k_m}));
  const auto& plan = conversion.plans().front();
  const auto& theirs = plan.tensors;
  std::uint64_t bytes = plan.file_bytes;
  // Rows of 128 and 384: the table q8_0, others q5_0, values and ffn_down of favoured blocks q8_0.
  sinq::io::GgufMetadata facts;
  facts.add("general.architecture", "qwen3");
  facts.add("qwen3.block_count", std::uint32_t{4});
  facts.add("qwen3.attention.head_count", std::uint32_t{4});
  facts.add("qwen3.attention.head_count_kv", std::uint32_t{2});
  const auto types = llama_types(*q4_k_m, facts, theirs);
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    bytes += *tensor_bytes(types[i], theirs[i].shape) - *tensor_bytes(theirs[i].type, theirs[i].shape);
  }
  EXPECT_LE(plan.file_bytes, bytes);
  EXPECT_GT(plan.file_bytes, bytes - bytes / 50);
  EXPECT_THAT(conversion.notes(), testing::Contains(HasSubstr("q4_k_m: at most " + std::to_string(bytes) + " bytes")));
  EXPECT_EQ(conversion.mixture()->nearest, q4_k_m);
}

TEST(Mixture, BudgetsThatAreTooSmallNameTheLeastPossibleOne) {
  const auto refuse = [](const MixtureOptions& mixture, const char* what, const char* least) {
    expect_error(
        sinq::Errc::kBadConfig, [&] { static_cast<void>(Conversion(mixed(mixture))); }, what, least);
  };
  refuse({.max_bits_per_weight = 4.0}, "4 per weight", "least possible");
  refuse({.max_bytes = 1000}, "at most 1000 bytes", "least possible");
}

TEST(Mixture, FilesOfSensitivitiesOfOtherModelsAreRefused) {
  const TemporaryFolder folder("gguf_other_alphas");
  const auto file = write_sensitivities(folder, [](const std::string&) { return 1.0; });
  const auto refuse = [&](const std::function<void(Json&)>& change, const char* part) {
    Json json = llm::read_json(file);
    change(json["matrices"]);
    const auto other = folder.path() / "other.json";
    llm::test::write_text(other, json.dump());
    expect_error(
        sinq::Errc::kBadFile,
        [&] { static_cast<void>(Conversion(mixed({.max_bits_per_weight = 5.0, .sensitivity = other}))); }, part);
  };
  refuse([](Json& matrices) { matrices.erase(0); }, "has no sensitivity of 'model.embed_tokens.weight'");
  refuse([](Json& matrices) { matrices[1]["name"] = "model.layers.9.x"; }, "no sensitivity of");
  refuse(
      [](Json& matrices) {
        matrices.push_back({{"name", "y"}, {"alpha", 1}, {"kl", 1}, {"error", 1}});
      },
      "'y' is no matrix of this model");
}

TEST(Mixture, NamesOfOtherArchitecturesHaveTheSameLastPart) {
  EXPECT_EQ(sensitivity_name("blk.3.ffn_up.weight"), "model.layers.3.mlp.up_proj.weight");
  EXPECT_EQ(sensitivity_name("token_embd.weight"), "model.embed_tokens.weight");
  EXPECT_EQ(sensitivity_name("blk.3.ffn_gate_exps.weight"), "blk.3.gate_proj.weight");
  EXPECT_EQ(sensitivity_name("v.blk.11.attn_out.weight"), "v.blk.11.o_proj.weight");
  EXPECT_EQ(sensitivity_name("blk.0.attn_qkv.weight"), "blk.0.qkv_proj.weight");
  EXPECT_EQ(sensitivity_name("blk.0.ssm_in.weight"), "blk.0.ssm_in.weight");
}

}  // namespace
}  // namespace gguf::test
