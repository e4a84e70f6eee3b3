#include "llm/model.hpp"

#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// The text of the error that `action` throws.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const sinq::Error& e) {
    return e.what();
  }
  return "no error";
}

std::string config_error(const Json& changes) {
  Json config = tiny_config("LlamaForCausalLM");
  for (const auto& [key, value] : changes.items()) config[key] = value;
  return error_of([&] { static_cast<void>(ModelConfig::from_json(config)); });
}

std::string model_error(const std::function<void(TinyModel&)>& change) {
  TinyModel tiny = make_tiny_model(tiny_config("Qwen3ForCausalLM"), 1);
  change(tiny);
  const TemporaryFolder folder("model");
  write_model(tiny, folder.path());
  return error_of([&] { static_cast<void>(Model::open(folder.path())); });
}

TEST(ModelConfigTest, ReadsBothRopeKeys) {
  Json config = tiny_config("Qwen3ForCausalLM");
  EXPECT_EQ(ModelConfig::from_json(config).rope_theta, 500.0);
  config["rope_scaling"] = nullptr;
  EXPECT_EQ(ModelConfig::from_json(config).rope_theta, 500.0);
  config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  EXPECT_EQ(ModelConfig::from_json(config).rope_theta, 1e6);
  config.erase("rope_theta");
  EXPECT_EQ(ModelConfig::from_json(config).rope_theta, 1e6);
  config.erase("rope_parameters");
  EXPECT_EQ(ModelConfig::from_json(config).rope_theta, 10000.0);
}

TEST(ModelConfigTest, ReadsShapesAndDefaults) {
  Json config = tiny_config("LlamaForCausalLM");
  config.erase("head_dim");
  config.erase("num_key_value_heads");
  config.erase("tie_word_embeddings");
  config["eos_token_id"] = {3, 4};
  const ModelConfig read = ModelConfig::from_json(config);
  EXPECT_EQ(read.head_dim, 4);
  EXPECT_EQ(read.kv_heads, 6);
  EXPECT_FALSE(read.tied_head);
  EXPECT_FALSE(read.query_key_norm);
  EXPECT_THAT(read.end_tokens, testing::ElementsAre(3, 4));
  config["eos_token_id"] = 5;
  EXPECT_THAT(ModelConfig::from_json(config).end_tokens, testing::ElementsAre(5));
}

TEST(ModelConfigTest, RefusesByName) {
  EXPECT_THAT(config_error({{"architectures", {"GPT2LMHeadModel"}}}), HasSubstr("GPT2LMHeadModel"));
  EXPECT_THAT(config_error({{"architectures", Json::array()}}), HasSubstr("architecture none"));
  EXPECT_THAT(config_error({{"hidden_act", "gelu"}}), HasSubstr("hidden_act gelu"));
  EXPECT_THAT(config_error({{"rope_scaling", {{"rope_type", "llama3"}}}}), HasSubstr("factor: missing"));
  EXPECT_THAT(config_error({{"rope_scaling", {{"rope_type", "linear"}}}}), HasSubstr("rope_type linear"));
  EXPECT_THAT(config_error({{"rope_scaling", {{"type", "yarn"}}}}), HasSubstr("rope_type yarn"));
  EXPECT_THAT(config_error({{"rope_parameters", {{"rope_type", "dynamic"}}}}), HasSubstr("rope_type dynamic"));
  EXPECT_THAT(config_error({{"use_sliding_window", true}}), HasSubstr("use_sliding_window"));
  EXPECT_THAT(config_error({{"layer_types", {"full_attention", "sliding_attention"}}}),
              HasSubstr("layer_types sliding_attention"));
  EXPECT_THAT(config_error({{"quantization_config", {{"bits", 4}}}}), HasSubstr("quantization_config"));
  EXPECT_THAT(config_error({{"hidden_size", 0}}), HasSubstr("hidden_size 0"));
  EXPECT_THAT(config_error({{"hidden_size", "24"}}), HasSubstr("hidden_size"));
  EXPECT_THAT(config_error({{"num_key_value_heads", 4}}), HasSubstr("num_key_value_heads 4"));
  EXPECT_THAT(config_error({{"head_dim", 7}}), HasSubstr("head_dim 7"));
  EXPECT_THAT(config_error({{"vocab_size", nullptr}}), HasSubstr("vocab_size: missing"));
}

TEST(ModelTest, NamesWhatIsMissing) {
  EXPECT_EQ(model_error([](TinyModel&) {}), "no error");
  for (const char* name : {"model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_norm.weight",
                           "model.norm.weight", "model.embed_tokens.weight"}) {
    EXPECT_THAT(model_error([&](TinyModel& tiny) { tiny.tensors.erase(name); }), HasSubstr(name));
  }
  EXPECT_THAT(model_error([](TinyModel& tiny) { tiny.config["tie_word_embeddings"] = false; }),
              HasSubstr("lm_head.weight"));
  EXPECT_THAT(model_error([](TinyModel& tiny) { tiny.config["attention_bias"] = true; }), HasSubstr("_proj.bias"));
  EXPECT_THAT(model_error([](TinyModel& tiny) { tiny.config["num_hidden_layers"] = 2000000000; }),
              HasSubstr("model.layers.2."));
}

TEST(ModelTest, NamesWhatHasAnotherShapeOrType) {
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  EXPECT_THAT(model_error([&](TinyModel& tiny) {
                tiny.tensors[name].shape = {40, 24};
              }),
              AllOf(HasSubstr(name), HasSubstr("[40, 24]"), HasSubstr("[24, 40]")));
  EXPECT_THAT(model_error([&](TinyModel& tiny) { tiny.tensors[name].dtype = DType::kI32; }),
              AllOf(HasSubstr(name), HasSubstr("I32")));
  EXPECT_THAT(model_error([&](TinyModel& tiny) { tiny.tensors["model.norm.weight"].dtype = DType::kI64; }),
              AllOf(HasSubstr("model.norm.weight"), HasSubstr("I64")));
}

TEST(ModelTest, NamesMissingFiles) {
  const TemporaryFolder folder("files");
  EXPECT_THAT(error_of([&] { static_cast<void>(Model::open(folder.path())); }), HasSubstr("config.json"));
  write_text(folder.path() / "config.json", "{");
  EXPECT_THAT(error_of([&] { static_cast<void>(Model::open(folder.path())); }), HasSubstr("config.json"));
  write_text(folder.path() / "config.json", tiny_config("LlamaForCausalLM").dump());
  EXPECT_THAT(error_of([&] { static_cast<void>(Model::open(folder.path())); }), HasSubstr("model.safetensors"));
}

}  // namespace
}  // namespace llm::test
