#include "fold/program.hpp"

#include <sinq/io/checkpoint.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "fold/architecture_json.hpp"
#include "llm/paths.hpp"
#include "llm/tiny_model.hpp"
#include "support/outcome.hpp"
#include "unit/fold/fold_support.hpp"
#include "unit/fold/reference_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

namespace fold_program::test {
namespace {

namespace fs = std::filesystem;
using llm::Json;
using llm::test::TemporaryFolder;
using sinq::Index;
using sinq::fold::Architecture;
using sinq::fold::Family;
using sinq::test::Biases;
using sinq::test::Model;
using sinq::test::Outcome;
using testing::AllOf;
using testing::HasSubstr;

Outcome fold(const std::vector<std::string>& arguments) { return sinq::test::outcome_of(&run_program, arguments); }

const std::string kModel = llm::test::embedded_model().string();

/// The number behind `name` in the program's words.
double number(const std::string& text, const std::string& name) {
  const auto at = text.find(name);
  return at == std::string::npos ? std::nan("") : std::stod(text.substr(at + name.size()));
}

std::string read_file(const fs::path& path) {
  return (std::ostringstream() << std::ifstream(path, std::ios::binary).rdbuf()).str();
}

TEST(FoldProgramTest, Float32KeepsTheFunction) {
  const TemporaryFolder folder("fold");
  const std::string out = (folder.path() / "out").string();
  const std::string before = read_file(kModel + "/model.safetensors");
  const Outcome outcome = fold({kModel, "-o", out, "--dtype", "float32", "--check", "--limit", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  // Float32 rounds weights and sums by 6e-8; logits are near 10.
  EXPECT_LT(std::abs(number(outcome.out, "\nkl ")), 1e-6) << outcome.out;
  EXPECT_LT(number(outcome.out, "largest logit difference"), 1e-3);
  EXPECT_EQ(number(outcome.out, "positions"), 512);
  EXPECT_EQ(read_file(kModel + "/model.safetensors"), before);
  EXPECT_EQ(llm::read_json(out + "/config.json").at("dtype"), "float32");
  const auto files = sinq::io::Checkpoint::open(out), original = sinq::io::Checkpoint::open(kModel);
  ASSERT_EQ(files.tensors().size(), original.tensors().size());
  for (const auto& tensor : original.tensors()) {
    EXPECT_EQ(files.at(tensor.info.name).info.shape, tensor.info.shape);
    EXPECT_EQ(files.at(tensor.info.name).info.dtype, sinq::io::DType::kF32);
  }
}

TEST(FoldProgramTest, RandomFactorsKeepTheFunctionToo) {
  const TemporaryFolder folder("fold");
  const auto write = [&](const std::string& name, const std::string& seed) {
    const std::string out = (folder.path() / name).string();
    const Outcome outcome =
        fold({kModel, "-o", out, "--random-factors", seed, "--dtype", "float32", "--check", "--limit", "1"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("random, seed " + seed));
    EXPECT_LT(std::abs(number(outcome.out, "\nkl ")), 1e-6) << outcome.out;
    return read_file(folder.path() / name / "model.safetensors");
  };
  const std::string first = write("first", "1");
  EXPECT_EQ(write("again", "1"), first);
  EXPECT_NE(write("other", "2"), first);
}

TEST(FoldProgramTest, KeepsTypesAndCopiesOtherFiles) {
  const TemporaryFolder folder("fold");
  const fs::path out = folder.path() / "out";
  const Outcome outcome = fold({kModel, "-o", out.string() + "/", "--max-shard-size", "0.0005", "--check"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const double kl = number(outcome.out, "\nkl ");
  EXPECT_GT(kl, 1e-7);  // bf16 rounds
  EXPECT_LT(kl, 1e-3);
  const auto files = sinq::io::Checkpoint::open(out);
  EXPECT_GT(files.files().size(), 2);
  EXPECT_TRUE(fs::exists(out / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out / "model.safetensors"));
  EXPECT_EQ(files.at("model.norm.weight").info.dtype, sinq::io::DType::kBf16);
  for (const char* name : {"config.json", "tokenizer.json", "samples.safetensors"}) {
    EXPECT_EQ(read_file(out / name), read_file(fs::path(kModel) / name)) << name;
  }
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

// The bits of every bf16 weight but the exponent's stay.
TEST(FoldProgramTest, PowersOfTwoAreExactInBf16) {
  const TemporaryFolder folder("fold");
  const std::string out = (folder.path() / "out").string();
  const Outcome outcome = fold({kModel, "-o", out, "--rounding", "power-of-two", "--check", "--limit", "2"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_LT(std::abs(number(outcome.out, "\nkl ")), 1e-9) << outcome.out;
  const auto files = sinq::io::Checkpoint::open(out), original = sinq::io::Checkpoint::open(kModel);
  Index changed = 0;
  for (const auto& tensor : original.tensors()) {
    const auto before = tensor.bytes(), after = files.at(tensor.info.name).bytes();
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); i += 2) {
      std::uint16_t a = 0, b = 0;
      std::memcpy(&a, before.data() + i, 2);
      std::memcpy(&b, after.data() + i, 2);
      ASSERT_EQ(a & 0x807f, b & 0x807f) << tensor.info.name;
      changed += a != b ? 1 : 0;
    }
  }
  EXPECT_GT(changed, 100);
}

TEST(FoldProgramTest, SearchesForTheLeastLoss) {
  const TemporaryFolder folder("fold");
  for (const std::string loss : {"layer", "kl"}) {
    const Outcome outcome =
        fold({kModel, "-o", (folder.path() / loss).string(), "--search", loss, "--limit", "1", "--context", "64"});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("of 16 candidates"));
    EXPECT_GT(number(outcome.out, "candidates, "), number(outcome.out, "least loss"));
  }
}

// ---- other families, in the reference's float64 ----

Json config_of(const Architecture& a, const std::string& name) {
  Json out{{"architectures", {name}}, {"num_hidden_layers", a.layers},       {"vocab_size", a.vocab},
           {"hidden_size", a.hidden}, {"intermediate_size", a.intermediate}, {"num_attention_heads", a.heads}};
  if (a.family != Family::kGemma) out["tie_word_embeddings"] = a.tied_head;
  if (a.family == Family::kDeepseekV2) {
    out.update({{"q_lora_rank", a.query_rank},
                {"kv_lora_rank", a.key_value_rank},
                {"qk_nope_head_dim", a.nope_dim},
                {"qk_rope_head_dim", a.rope_dim},
                {"v_head_dim", a.value_dim},
                {"n_routed_experts", a.experts},
                {"n_shared_experts", a.shared_experts},
                {"moe_intermediate_size", a.expert_intermediate},
                {"first_k_dense_replace", 1}});
  } else {
    out.update({{"num_key_value_heads", a.kv_heads}, {"head_dim", a.head_dim}});
  }
  if (a.family == Family::kQwen3Moe) {
    out.update(
        {{"num_experts", a.experts}, {"moe_intermediate_size", a.expert_intermediate}, {"mlp_only_layers", {0}}});
  }
  return out;
}

void write(const Model& model, const std::string& architecture, const fs::path& folder) {
  fs::create_directories(folder);
  llm::test::write_text(folder / "config.json", config_of(model.arch, architecture).dump());
  std::vector<sinq::io::TensorData> data;
  for (const auto& [name, tensor] : model.tensors) {
    data.push_back({name, sinq::io::DType::kF64, tensor.shape, std::as_bytes(std::span(tensor.values))});
  }
  sinq::io::write_safetensors(folder / "model.safetensors", data);
}

Model read(Model like, const fs::path& folder) {
  const auto files = sinq::io::Checkpoint::open(folder);
  for (auto& [name, tensor] : like.tensors) {
    const auto bytes = files.at(name).bytes();
    EXPECT_EQ(bytes.size(), tensor.values.size() * sizeof(double));
    std::memcpy(tensor.values.data(), bytes.data(), bytes.size());
  }
  return like;
}

class EveryArchitecture : public testing::TestWithParam<std::pair<const char*, Family>> {};

TEST_P(EveryArchitecture, KeepsItsFunctionThroughFiles) {
  const auto [name, family] = GetParam();
  const TemporaryFolder folder("fold");
  const Model model = make_model(sinq::test::tiny(family), 1, Biases::kAll);
  write(model, name, folder.path() / "in");
  const std::string in = (folder.path() / "in").string(), out = (folder.path() / "out").string();
  const Outcome outcome = fold({in, "-o", out, "--tile", "8"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Model other = read(model, out);
  EXPECT_LT(difference(model, other), 1e-12);
  EXPECT_NE(other.tensors.at("model.layers.1.input_layernorm.weight").values,
            model.tensors.at("model.layers.1.input_layernorm.weight").values);
}

INSTANTIATE_TEST_SUITE_P(
    Fold, EveryArchitecture,
    testing::Values(std::pair{"MistralForCausalLM", Family::kMistral}, std::pair{"Qwen2ForCausalLM", Family::kQwen2},
                    std::pair{"GemmaForCausalLM", Family::kGemma}, std::pair{"Gemma3ForCausalLM", Family::kGemma3},
                    std::pair{"Phi3ForCausalLM", Family::kPhi3}, std::pair{"Qwen3MoeForCausalLM", Family::kQwen3Moe},
                    std::pair{"DeepseekV2ForCausalLM", Family::kDeepseekV2}));

TEST(FoldProgramTest, Refusals) {
  const TemporaryFolder folder("fold");
  const fs::path in = folder.path() / "in";
  const std::string out = (folder.path() / "out").string();
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& why) {
    const Outcome outcome = fold(arguments);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_FALSE(fs::exists(out));
    EXPECT_FALSE(fs::exists(out + ".partial"));
  };
  refused({kModel, "-o", kModel}, "would replace");
  refused({kModel, "-o", kModel, "--force"}, "would replace");
  refused({kModel, "-o", kModel + "/out"}, "lies in");
  refused({kModel, "-o", folder.path().string()}, "exists already; --force replaces it");
  refused({kModel, "-o", kModel + "/config.json"}, "is no folder");
  refused({kModel, "-o", "/dev/null", "--force"}, "is no folder");
  refused({kModel}, "--output");
  refused({"nowhere", "-o", out}, "nowhere");
  refused({kModel, "-o", out, "--edges", "sideways"}, "--edges");
  refused({kModel, "-o", out, "--tile", "-4"}, "tile -4");
  refused({kModel, "-o", out, "--dtype", "int8"}, "--dtype");
  refused({kModel, "-o", out, "--search", "kl", "--tile", "4"}, "--tile");
  refused({kModel, "-o", out, "--search", "kl", "--for", "q9"}, "--for: q9 not in {iq4_nl,iq4_xs,q2_k,");
  refused({kModel, "-o", out, "--for", "q8_0"}, "--for requires --search");
  refused({kModel, "-o", out, "--random-factors", "-1"}, "--random-factors");
  refused({kModel, "-o", out, "--random-factors", "1", "--tile", "4"}, "--tile");
  refused({kModel, "-o", out, "--random-factors", "1", "--search", "kl"}, "--search");
  refused({kModel, "-o", out, "--text", kModel + "/tokenizer.json"}, "--text is of use with --check or --search only");
  for (const char* flag : {"--context", "--limit", "--threads"}) {
    refused({kModel, "-o", out, flag, "4"}, std::string(flag) + " is of use with --check or --search only");
  }
  refused({kModel, "-o", out, "--max-shard-size", "1e300"}, "--max-shard-size");
  refused({kModel + "/model.safetensors", "-o", out}, "is a safetensors file, a Hugging Face folder is meant");
  refused({kModel, "-o", out, "--check", "--text", "no-text"}, "no-text");

  Model model = make_model(sinq::test::tiny(Family::kQwen3Moe), 2, Biases::kNone);
  write(model, "Qwen3MoeForCausalLM", in);
  refused({in.string(), "-o", out, "--check"}, "--text or --tokens");
  refused({in.string(), "-o", out, "--check", "--tokens", kModel + "/samples.safetensors"}, "Qwen3MoeForCausalLM");
  write(model, "JambaForCausalLM", in);
  refused({in.string(), "-o", out}, "architecture JambaForCausalLM is not one of");
  model.tensors["model.layers.2.mlp.experts.9.up_proj.weight"] = {{12, 24}, std::vector<double>(12 * 24)};
  write(model, "Qwen3MoeForCausalLM", in);
  refused({in.string(), "-o", out}, "model.layers.2.mlp.experts.9.up_proj.weight");

  model = make_model(sinq::test::tiny(Family::kLlama), 2, Biases::kNone);
  model.tensors.at("model.layers.0.mlp.up_proj.weight").values[5] = 1e7;
  write(model, "LlamaForCausalLM", in);
  refused({in.string(), "-o", out, "--dtype", "float16"}, "beyond the range of F16");
  refused({in.string(), "-o", out, "--dtype", "float16"},
          "tensor 'model.layers.0.mlp.up_proj.weight': row 0, column 5 is ");
  // Consumers are balanced, producers only multiplied; a name from a file is nothing for a terminal to obey.
  const auto columns = static_cast<std::size_t>(model.tensors.at("model.layers.0.mlp.down_proj.weight").shape[1]);
  model.tensors.at("model.layers.0.mlp.down_proj.weight").values[columns + 2] =
      std::numeric_limits<double>::quiet_NaN();
  write(model, "LlamaForCausalLM", in);
  refused({in.string(), "-o", out}, "tensor 'model.layers.0.mlp.down_proj.weight': row 1, column 2 is nan");
  model.tensors["\x1b[31m"] = {{1}, {1.0}};
  write(model, "LlamaForCausalLM", in);
  refused({in.string(), "-o", out}, "tensor '\\x1b[31m' [1] is not known");
}

TEST(FoldProgramTest, AFiniteWeightIsNotBeyondFloat32) {
  const TemporaryFolder folder("fold");
  const fs::path in = folder.path() / "in";
  Model model = make_model(sinq::test::tiny(Family::kLlama), 2, Biases::kNone);
  model.tensors.at("model.layers.0.mlp.down_proj.weight").values[2] = 3.39e38;
  write(model, "LlamaForCausalLM", in);
  const Outcome outcome = fold({in.string(), "-o", (folder.path() / "out").string(), "--edges", "up-down"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST(FoldProgramTest, WhatIsInTheWayStaysUnlessForced) {
  const TemporaryFolder folder("fold");
  const fs::path out = folder.path() / "out", model = folder.path() / "m.partial";
  fs::create_directory(out);
  llm::test::write_text(out / "notes.txt", "mine");
  llm::test::write_text(out / "model-00001-of-00002.safetensors", "old");
  EXPECT_NE(fold({kModel, "-o", out.string()}).status, 0);
  EXPECT_EQ(fold({kModel, "-o", out.string(), "--force"}).status, 0);
  EXPECT_EQ(read_file(out / "notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(out / "model-00001-of-00002.safetensors"));
  const auto files = sinq::io::Checkpoint::open(out), original = sinq::io::Checkpoint::open(kModel);
  EXPECT_EQ(files.tensors().size(), original.tensors().size());
  // The partial folder is no reason to lose a model that is called so.
  fs::copy(kModel, model);
  const Outcome outcome = fold({model.string(), "-o", (folder.path() / "m").string()});
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("m.partial"));
  EXPECT_EQ(read_file(model / "model.safetensors"), read_file(kModel + "/model.safetensors"));
}

// Of every tensor, those that are copied too, and whatever is written.
TEST(FoldProgramTest, NumbersThatAreNotFiniteAreRefusedByName) {
  const TemporaryFolder in("fold_nonfinite"), folder("fold_nonfinite_out");
  const std::string out = (folder.path() / "out").string();
  const std::vector<sinq::io::DType> stored{sinq::io::DType::kF32, sinq::io::DType::kF16, sinq::io::DType::kBf16,
                                            sinq::io::DType::kF64};
  Json config = llm::test::tiny_config("LlamaForCausalLM");
  config.update({{"attention_bias", true}, {"mlp_bias", true}, {"tie_word_embeddings", false}});
  std::size_t next = 0;
  for (const auto& [name, unused] : llm::test::make_tiny_model(config, 1).tensors) {
    if (name.find("layers.0") != std::string::npos) continue;  // one layer stands for both
    auto model = llm::test::make_tiny_model(config, 1, {stored[next % stored.size()]});
    auto& tensor = model.tensors.at(name);
    const Index cols = tensor.shape.back(), col = static_cast<Index>(next) % cols;
    const Index row = tensor.shape.size() == 1 ? 0 : 3;
    const bool is_nan = next++ % 2 == 0;
    tensor.values[static_cast<std::size_t>(row * cols + col)] =
        is_nan ? std::numeric_limits<double>::quiet_NaN() : -std::numeric_limits<double>::infinity();
    llm::test::write_model(model, in.path());
    for (const std::string dtype : {"same", "float32", "bfloat16", "float16"}) {
      const Outcome outcome = fold({in.path().string(), "-o", out, "--dtype", dtype});
      EXPECT_EQ(outcome.status, 1) << name << " as " << dtype;
      EXPECT_THAT(outcome.err, HasSubstr("tensor '" + name + "': row " + std::to_string(row) + ", column " +
                                         std::to_string(col) + " is " + (is_nan ? "nan" : "-inf")));
      EXPECT_TRUE(fs::is_empty(folder.path()));
    }
  }
  auto model = llm::test::make_tiny_model(config, 1);
  model.tensors.at("model.embed_tokens.weight").values[24 + 5] = 1e5;  // is not folded
  llm::test::write_model(model, in.path());
  EXPECT_THAT(fold({in.path().string(), "-o", out, "--dtype", "float16"}).err,
              HasSubstr("tensor 'model.embed_tokens.weight': row 1, column 5 is 1e+05, beyond the range of F16"));
}

TEST(FoldArchitectureJsonTest, ReadsAndRefuses) {
  Json config = config_of(sinq::test::tiny(Family::kDeepseekV2), "DeepseekV2ForCausalLM");
  config["q_lora_rank"] = nullptr;
  config["moe_layer_freq"] = 2;
  const Architecture arch = architecture_from_json(config);
  EXPECT_EQ(arch.query_rank, 0);
  EXPECT_EQ(arch.dense_layers, (std::vector<Index>{0, 1}));
  EXPECT_TRUE(architecture_from_json(config_of(sinq::test::tiny(Family::kGemma), "GemmaForCausalLM")).tied_head);
  const auto refused = [&](sinq::Errc code, const std::string& why, auto&& change) {
    Json other = config;
    change(other);
    sinq::test::expect_error([&] { static_cast<void>(architecture_from_json(other)); }, code, why);
  };
  refused(sinq::Errc::kBadFile, "hidden_size: missing", [](Json& c) { c.erase("hidden_size"); });
  refused(sinq::Errc::kBadFile, "num_hidden_layers", [](Json& c) { c["num_hidden_layers"] = Index{1} << 40; });
  refused(sinq::Errc::kBadFile, "num_attention_heads", [](Json& c) { c["num_attention_heads"] = 0; });
  refused(sinq::Errc::kBadFile, "kv_lora_rank", [](Json& c) { c["kv_lora_rank"] = "eight"; });
  refused(sinq::Errc::kUnsupported, "quantization_config", [](Json& c) { c["quantization_config"] = Json::object(); });
}

}  // namespace
}  // namespace fold_program::test
