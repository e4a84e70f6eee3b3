// Numbers that are not finite, and tensors that nobody asked for, end every command with a message and a code.
#include <sinq/io/quantized_writer.hpp>

#include "llm/model.hpp"
#include "outcome.hpp"
#include "paths.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace llm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

const std::string kPrompt = "The war";

/// A model that has every kind of tensor, and the embedded model's tokens.
Json whole_config(const std::string& architecture) {
  Json config = tiny_config(architecture);
  config.update({{"vocab_size", 2048}, {"attention_bias", true}, {"mlp_bias", true}, {"tie_word_embeddings", false}});
  return config;
}

void write_with_tokenizer(const TinyModel& model, const std::filesystem::path& folder) {
  write_model(model, folder);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(embedded_model() / file, folder / file,
                               std::filesystem::copy_options::overwrite_existing);
  }
}

/// Every command on the model in `folder`.
std::vector<std::vector<std::string>> commands(const std::filesystem::path& folder) {
  const std::vector<std::string> data{
      "--tokens", (embedded_model() / "samples.safetensors").string(), "--context", "16", "--limit", "1", "--threads",
      "1"};
  std::vector<std::vector<std::string>> out{
      {"perplexity", folder.string(), "--method", "fp32"},
      {"perplexity", folder.string(), "--group-size", "8"},
      {"compare", folder.string(), "--methods", "rtn", "--bits", "4", "--group-size", "8"},
      {"layers", folder.string(), "--group-size", "8"}};
  for (auto& command : out) command.insert(command.end(), data.begin(), data.end());
  out.push_back({"generate", folder.string(), "--prompt", kPrompt, "--max-tokens", "4", "--method", "fp32"});
  out.push_back({"generate", folder.string(), "--prompt", kPrompt, "--max-tokens", "4", "--group-size", "8"});
  return out;
}

/// Every command, but those without use for what is wrong, ends with a code and a message that holds all of `parts`.
void expect_refused(const std::filesystem::path& folder, const std::vector<std::string>& parts,
                    const std::string& without_use = "none") {
  for (const auto& command : commands(folder)) {
    if (command[0] == without_use) continue;
    const Outcome outcome = run(command);
    EXPECT_NE(outcome.status, 0) << command[0] << "\n" << outcome.out;
    for (const auto& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part)) << command[0];
  }
}

TEST(NonfiniteTest, InAnyTensorOfAnyTypeIsRefusedByName) {
  const TemporaryFolder folder("nonfinite");
  const auto prompt = Tokenizer::open(embedded_model()).encode(kPrompt);
  const std::vector<DType> types{DType::kF32, DType::kF16, DType::kBf16, DType::kF64};
  std::size_t next = 0;
  for (const auto& [name, unused] : make_tiny_model(whole_config("Qwen3ForCausalLM"), 1).tensors) {
    // One layer stands for both.
    if (name.find("layers.0") != std::string::npos) continue;
    TinyModel model = make_tiny_model(whole_config("Qwen3ForCausalLM"), 1, {types[next % types.size()]});
    auto& tensor = model.tensors.at(name);
    const Index cols = tensor.shape.back(), col = static_cast<Index>(next) % cols;
    const Index row = tensor.shape.size() == 1 ? 0 : name.find("embed") != std::string::npos ? Index{prompt[0]} : 3;
    const bool is_nan = next++ % 2 == 0;
    tensor.values[static_cast<std::size_t>(row * cols + col)] = is_nan ? kNan : -kInf;
    write_with_tokenizer(model, folder.path());
    const std::string stem = name.substr(0, name.rfind('.'));  // of a layer that is quantized
    expect_refused(folder.path(), {stem, std::to_string(col), is_nan ? "nan" : "-inf"},
                   name == kHeadName ? "layers" : "none");
    const Outcome outcome = run(commands(folder.path())[0]);
    EXPECT_THAT(outcome.err, HasSubstr("tensor '" + name + "': row " + std::to_string(row) + ", column " +
                                       std::to_string(col) + " is " + (is_nan ? "nan" : "-inf")));
  }
}

TEST(NonfiniteTest, DoublesBeyondFloatAreToldFromNoNumbers) {
  const TemporaryFolder folder("beyond");
  for (const std::string name : {"model.norm.weight", "model.layers.1.mlp.up_proj.weight"}) {
    TinyModel model = make_tiny_model(whole_config("LlamaForCausalLM"), 1, {DType::kF64});
    model.tensors.at(name).values[5] = -1e300;
    write_with_tokenizer(model, folder.path());
    expect_refused(folder.path(), {"tensor '" + name + "': row 0, column 5 is -1e+300, which is beyond float32"});
  }
}

TEST(NonfiniteTest, AnEmbeddingThatNoTokenOfTheTextAsksForIsRefusedToo) {
  const TemporaryFolder folder("embedding");
  TinyModel model = make_tiny_model(whole_config("LlamaForCausalLM"), 1);
  model.tensors.at(kEmbeddingName).values[2047 * 24 + 1] = kInf;
  write_with_tokenizer(model, folder.path());
  expect_refused(folder.path(), {"tensor 'model.embed_tokens.weight': row 2047, column 1 is inf"}, "generate");
}

TEST(NonfiniteTest, StatesAndLogitsThatOverflowEndTheRun) {
  const TemporaryFolder folder("overflow");
  const auto fill = [&](const std::string& name, double value, double head = 1.0) {
    TinyModel model = make_tiny_model(whole_config("LlamaForCausalLM"), 1);
    for (double& x : model.tensors.at(name).values) x = value;
    for (double& x : model.tensors.at(kHeadName).values) x *= head;
    write_with_tokenizer(model, folder.path());
  };
  fill("model.layers.1.post_attention_layernorm.weight", 3e38);
  expect_refused(folder.path(), {"position 0: channel ", " of the hidden state is ", "after layer 1"});
  fill("model.norm.weight", 3e38);
  expect_refused(folder.path(), {"position 0: channel ", "after the last norm"}, "none");
  fill("model.norm.weight", 1e30, 1e30);
  expect_refused(folder.path(), {"position ", ": the logit of token ", " is "}, "layers");
  // The likelihood of a position is a number still, the exponential of their mean is none.
  fill("model.norm.weight", 1.0, 1e6);
  for (const auto& command : commands(folder.path())) {
    if (command[0] != "perplexity" && command[0] != "compare") continue;
    const Outcome outcome = run(command);
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.err, HasSubstr("perplexity is inf"));
  }
}

TEST(NonfiniteTest, ScalesOfStoredCodesAreRefusedByName) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  TinyModel model = make_tiny_model(whole_config("LlamaForCausalLM"), 1);
  model.tensors.erase(name);
  for (const sinq::Region region : {sinq::Region::kGroupScale, sinq::Region::kOffset, sinq::Region::kColScale}) {
    const TemporaryFolder folder("scales");
    write_with_tokenizer(model, folder.path());
    sinq::QuantizedMatrix q({.rows = 40, .cols = 24, .group_size = 8, .row_block = 40});
    const std::uint16_t infinity = 0x7c00;
    std::memcpy(q.region(region).data() + 2 * 17, &infinity, sizeof infinity);
    std::vector<std::vector<std::byte>> bytes;
    std::vector<sinq::io::TensorData> others;
    bytes.reserve(model.tensors.size());
    for (const auto& [other, tensor] : model.tensors) {
      bytes.push_back(stored_bytes(tensor));
      others.push_back({other, tensor.dtype, tensor.shape, bytes.back()});
    }
    sinq::io::write_quantized(folder.path() / "model.safetensors", {{{name, q}}}, others);
    const Outcome outcome = run({"generate", folder.path().string(), "--prompt", kPrompt});
    EXPECT_NE(outcome.status, 0);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("tensor '" + name + "': the "), HasSubstr(" is inf"),
                                   HasSubstr(region == sinq::Region::kColScale ? "column scale of row 0, column 17"
                                             : region == sinq::Region::kOffset ? "zero point of row 17, column 0"
                                                                               : "scale of row 17, column 0")));
  }
}

TEST(UnknownTensorTest, IsRefusedByName) {
  const TemporaryFolder folder("unknown");
  for (const std::string architecture : {"Qwen3ForCausalLM", "LlamaForCausalLM"}) {
    Json config = whole_config(architecture);
    config.erase("attention_bias");
    config.erase("mlp_bias");
    const std::string layer = "model.layers.1.";
    for (const std::string& name :
         {layer + "self_attn.q_proj.bias", layer + "self_attn.k_proj.bias", layer + "self_attn.v_proj.bias",
          layer + "self_attn.o_proj.bias", layer + "mlp.gate_proj.bias", layer + "mlp.up_proj.bias",
          layer + "mlp.down_proj.bias", layer + "input_layernorm.bias", layer + "self_attn.q_proj.lora_A.weight",
          std::string("model.norm.bias"), std::string("lm_head.bias"), std::string("model.layers.2.mlp.up_proj.weight"),
          std::string("model.embed_positions.weight")}) {
      TinyModel model = make_tiny_model(config, 1);
      model.tensors[name] = {{24}, std::vector<double>(24, 5.0), DType::kF32};
      write_with_tokenizer(model, folder.path());
      expect_refused(folder.path(), {folder.path().string(), "tensor '" + name + "'"});
    }
  }
  TinyModel model = make_tiny_model(whole_config("LlamaForCausalLM"), 1);
  model.tensors["model.layers.0.self_attn.q_norm.weight"] = {{8}, std::vector<double>(8, 1.0), DType::kF32};
  write_with_tokenizer(model, folder.path());
  expect_refused(folder.path(), {"tensor 'model.layers.0.self_attn.q_norm.weight'"});
}

TEST(UnknownTensorTest, WhatChangesNothingIsNone) {
  const TemporaryFolder folder("redundant");
  Json config = whole_config("LlamaForCausalLM");
  config["tie_word_embeddings"] = true;
  TinyModel model = make_tiny_model(config, 1);
  write_with_tokenizer(model, folder.path());
  std::vector<std::string> expected;
  for (const auto& command : commands(folder.path())) expected.push_back(run(command).out);
  model.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{4}, std::vector<double>(4, 1.0), DType::kF32};
  model.tensors["model.rotary_emb.inv_freq"] = {{4}, std::vector<double>(4, 1.0), DType::kF32};
  model.tensors[kHeadName] = model.tensors.at(kEmbeddingName);
  write_with_tokenizer(model, folder.path());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Outcome outcome = run(commands(folder.path())[i]);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto figures = [](const std::string& text) { return text.substr(0, text.find("seconds")); };
    EXPECT_EQ(figures(outcome.out), figures(expected[i]));
  }
}

TEST(FirstLineTest, SaysWhatIsScored) {
  const std::string model = embedded_model().string();
  const auto first_line = [&](std::vector<std::string> command) {
    command.insert(command.begin() + 1,
                   {model, "--tokens", model + "/samples.safetensors", "--context", "16", "--limit", "1"});
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out.substr(0, outcome.out.find('\n'));
  };
  const std::string start = "model            " + model + ", BF16 ";
  EXPECT_EQ(first_line({"perplexity"}), start + "quantized now: uniform, sinkhorn, 4 bits, groups of 64");
  EXPECT_EQ(first_line({"perplexity", "--method", "nf4", "--group-size", "32"}),
            start + "quantized now: nf4, no normalizer, 4 bits, groups of 32");
  EXPECT_EQ(first_line({"perplexity", "--method", "fp32"}), start + "as stored");
  EXPECT_EQ(first_line({"layers", "--bits", "3"}), start + "quantized now: uniform, sinkhorn, 3 bits, groups of 64");
  EXPECT_EQ(first_line({"compare", "--methods", "rtn", "--bits", "4", "--group-size", "64"}),
            start + "as stored, then quantized in each of these ways");
}

}  // namespace
}  // namespace llm::test
