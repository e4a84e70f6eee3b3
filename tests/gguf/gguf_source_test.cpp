#include "llm/gguf_source.hpp"

#include "gguf_models.hpp"
#include "llm/gguf_description.hpp"
#include "llm/gguf_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

namespace gguf::test {
namespace {

using testing::HasSubstr;

template <class Action>
std::string complaint_of(const Action& action) {
  try {
    action();
  } catch (const sinq::Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(GgufNames, AreLlamaCpps) {
  EXPECT_EQ(llm::gguf_name("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(llm::gguf_name("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(llm::gguf_name("lm_head.weight"), "output.weight");
  EXPECT_EQ(llm::gguf_name("model.layers.31.self_attn.o_proj.weight"), "blk.31.attn_output.weight");
  EXPECT_EQ(llm::gguf_name("model.layers.0.self_attn.q_proj.bias"), "blk.0.attn_q.bias");
  EXPECT_EQ(llm::gguf_name("model.layers.2.post_attention_layernorm.weight"), "blk.2.ffn_norm.weight");
  for (const char* name : {"model.layers.2.mlp.experts.0.up_proj.weight", "model.norm", "model.norm.scale", "x"}) {
    EXPECT_THAT(complaint_of([&] { static_cast<void>(llm::gguf_name(name)); }), HasSubstr(name));
  }
}

TEST(GgufNames, AreFoundTheOtherWayRound) {
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.layers.31.self_attn.o_proj.weight",
                           "model.layers.0.mlp.up_proj.bias"}) {
    EXPECT_EQ(llm::hugging_face_name(llm::gguf_name(name)), name);
  }
  for (const char* name : {"blk.0.ffn_up_exps.weight", "model.norm.weight", "blk.0", "rope_freqs.weight"}) {
    EXPECT_THAT(complaint_of([&] { static_cast<void>(llm::hugging_face_name(name)); }), HasSubstr(name));
  }
}

TEST(RopeOrder, PairsAreTheHalvesInterleavedAndBack) {
  // One head of 6: rows 0 1 2 | 3 4 5 become 0 3 1 4 2 5; a second head follows.
  std::vector<sinq::Index> pairs;
  for (sinq::Index i = 0; i < 12; ++i) pairs.push_back(llm::other_row(llm::RopeOrder::kPairs, i, 6));
  EXPECT_THAT(pairs, testing::ElementsAre(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11));
  for (sinq::Index i = 0; i < 12; ++i) {
    EXPECT_EQ(llm::other_row(llm::RopeOrder::kHalves, pairs[static_cast<std::size_t>(i)], 6), i);
  }
}

TEST(GgufSource, FloatFilesAreTheSameModelAsTheFolder) {
  const TemporaryFolder folder("gguf_floats");
  const auto file = convert(folder, {.model = embedded_model(), .type = GgufType::kF32, .embeddings = GgufType::kF32});
  EXPECT_EQ(hidden_states(file), hidden_states(embedded_model()));
  const llm::GgufSource source(file);
  EXPECT_FALSE(source.is_quantized());
  EXPECT_TRUE(source.config().tied_head);
  EXPECT_THAT(source.config().end_tokens, testing::ElementsAre(0));
  EXPECT_EQ(source.stored_bits("model.norm.weight"), 32.0 * 128);
}

TEST(GgufSource, LlamaWithAllThatItMayHaveIsTheSameModelToo) {
  // Reordered queries, keys and their biases, a head of its own, stretched rotary waves.
  const TemporaryFolder folder("gguf_llama"), out("gguf_llama_out");
  write_tiny_model(folder.path(), "LlamaForCausalLM",
                   {{"attention_bias", true},
                    {"mlp_bias", true},
                    {"tie_word_embeddings", false},
                    {"rope_scaling",
                     {{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 64}}}});
  const auto file = convert(out, {.model = folder.path(), .type = GgufType::kF32, .embeddings = GgufType::kF32});
  EXPECT_EQ(hidden_states(file), hidden_states(folder.path()));
  const auto gguf = sinq::io::GgufFile::open(file);
  EXPECT_EQ(gguf.metadata().get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(gguf.at("rope_freqs.weight").shape, (std::vector<sinq::Index>{8}));
  // The reordering is there: row 1 of the file is row 8 of the folder.
  const auto checkpoint = sinq::io::Checkpoint::open(folder.path());
  const auto first = gguf.bytes(gguf.at("blk.0.attn_q.weight")).subspan(64 * 4, 64 * 4);
  const auto eighth = checkpoint.at("model.layers.0.self_attn.q_proj.weight").bytes().subspan(8 * 64 * 4, 64 * 4);
  EXPECT_TRUE(std::ranges::equal(first, eighth));
}

TEST(ModelConfig, Llama3StretchesLongWavesOnly) {
  Json config = llm::test::tiny_config("LlamaForCausalLM");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 4.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 100}};
  // head_dim 8, theta 500: wavelengths 2 pi 500^(i / 4) = 6.3, 29.7, 140, 664. Shorter than 100 / 4 stay, longer than
  // 100 / 1 are stretched by 4, between them 1 / factor goes linearly with 100 / wavelength.
  const auto factors = llm::ModelConfig::from_json(config).rope_factors;
  ASSERT_EQ(factors.size(), 4U);
  EXPECT_EQ(factors[0], 1.0F);
  const double part = (100.0 / (2.0 * std::numbers::pi * std::pow(500.0, 0.25)) - 1.0) / 3.0;
  EXPECT_NEAR(factors[1], 1.0 / ((1.0 - part) / 4.0 + part), 1e-6);  // one rounding to float
  EXPECT_EQ(factors[2], 4.0F);
  EXPECT_EQ(factors[3], 4.0F);
  config["rope_scaling"]["high_freq_factor"] = 1.0;
  EXPECT_THAT(complaint_of([&] { static_cast<void>(llm::ModelConfig::from_json(config)); }),
              HasSubstr("high_freq_factor"));
}

TEST(GgufTokenizer, GivesTheTokensOfTheFolder) {
  const TemporaryFolder folder("gguf_tokenizer");
  const auto file = convert(folder, {.model = embedded_model(), .type = GgufType::kQ4_0});
  const llm::Tokenizer expected = llm::Tokenizer::open(embedded_model());
  const llm::Tokenizer tokenizer = llm::gguf_tokenizer(file);
  std::string text = "It's 1066 and all that.\n\n  They'd<|endoftext|>say: \xc3\xa9t\xc3\xa9, \xe6\x97\xa5\xe6\x9c\xac";
  for (int b = 0; b < 256; ++b) text += static_cast<char>(b);
  EXPECT_EQ(tokenizer.encode(text), expected.encode(text));
  for (llm::Token token = 0; token < 2048; ++token) {
    ASSERT_EQ(tokenizer.bytes(token), expected.bytes(token)) << token;
  }
}

// The pre-tokenizers of Qwen's and Llama 3's tokenizer.json, on the vocabulary of the embedded model.
TEST(GgufTokenizer, KnowsHowQwenAndLlama3CutText) {
  struct Case {
    const char* name;
    const char* numbers;
    bool ignore_merges;
  };
  for (const Case& c : {Case{"qwen2", R"(\p{N})", false}, Case{"llama-bpe", R"(\p{N}{1,3})", true}}) {
    const TemporaryFolder folder("gguf_cut"), out("gguf_cut_out");
    write_tiny_model(folder.path(), "LlamaForCausalLM");
    Json tokenizer = llm::read_json(folder.path() / "tokenizer.json");
    const std::string pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + std::string(c.numbers) +
                                R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    tokenizer["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}}}};
    tokenizer["model"]["ignore_merges"] = c.ignore_merges;
    llm::test::write_text(folder.path() / "tokenizer.json", tokenizer.dump());
    const auto file = convert(out, {.model = folder.path(), .type = GgufType::kQ8_0});
    const auto gguf = sinq::io::GgufFile::open(file);
    EXPECT_EQ(gguf.metadata().get<std::string>("tokenizer.ggml.pre"), c.name);
    const std::string text = "I'LL pay 12345.\n\n  THEY'VE\t(x)  1066";
    const auto tokens = llm::gguf_tokenizer(file).encode(text);
    EXPECT_EQ(tokens, llm::Tokenizer::open(folder.path()).encode(text)) << c.name;
    EXPECT_NE(tokens, llm::Tokenizer::open(embedded_model()).encode(text)) << c.name << " cuts as gpt-2 does";

    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern + "|x";
    llm::test::write_text(folder.path() / "tokenizer.json", tokenizer.dump());
    EXPECT_THAT(complaint_of([&] { convert(out, {.model = folder.path(), .type = GgufType::kQ8_0}); }),
                HasSubstr("cut text in other ways"));
  }
}

TEST(GgufDescription, RefusesByName) {
  const auto refused = [](const char* key, const sinq::io::GgufValue& value) {
    sinq::io::GgufMetadata data("x.gguf");
    const std::vector<std::pair<std::string, sinq::io::GgufValue>> good{
        {"general.architecture", "llama"},
        {"llama.embedding_length", std::uint32_t{64}},
        {"llama.attention.head_count", std::uint32_t{4}},
        {"llama.feed_forward_length", std::uint32_t{96}},
        {"llama.block_count", std::uint32_t{1}},
        {"llama.context_length", std::uint32_t{32}},
        {"llama.attention.layer_norm_rms_epsilon", 1e-5F},
        {"tokenizer.ggml.model", "gpt2"},
        {"tokenizer.ggml.pre", "gpt-2"},
        {"tokenizer.ggml.tokens", sinq::io::GgufArray(std::vector<std::string>{"a", "b"})},
        {"tokenizer.ggml.token_type", sinq::io::GgufArray(std::vector<std::int32_t>{1, 1})},
        {"tokenizer.ggml.merges", sinq::io::GgufArray(std::vector<std::string>{})}};
    bool there = false;
    for (const auto& [name, content] : good) {
      data.add(name, name == key ? value : content);
      there = there || name == key;
    }
    if (!there) data.add(key, value);
    return complaint_of([&] {
      static_cast<void>(llm::config_from_gguf(data, true));
      static_cast<void>(llm::tokenizer_from_gguf(data));
    });
  };
  EXPECT_EQ(refused("unknown.key", 1.0F), "no error");
  EXPECT_THAT(refused("general.architecture", "gemma"), HasSubstr("x.gguf: general.architecture gemma"));
  EXPECT_THAT(refused("llama.rope.scaling.type", "yarn"), HasSubstr("llama.rope.scaling.type yarn"));
  EXPECT_THAT(refused("llama.rope.dimension_count", std::uint32_t{8}), HasSubstr("rope.dimension_count differs"));
  EXPECT_THAT(refused("llama.block_count", 3.0F), HasSubstr("'llama.block_count' is of type f32"));
  EXPECT_THAT(refused("tokenizer.ggml.model", "llama"), HasSubstr("tokenizer.ggml.model llama"));
  EXPECT_THAT(refused("tokenizer.ggml.pre", "falcon"), HasSubstr("tokenizer.ggml.pre falcon"));
  EXPECT_THAT(refused("tokenizer.ggml.tokens", sinq::io::GgufArray(std::vector<std::string>{"a", "a"})),
              HasSubstr("'a' stands twice"));
  EXPECT_THAT(refused("tokenizer.ggml.tokens", sinq::io::GgufArray(std::vector<std::string>{"a"})),
              HasSubstr("token_type has 2 entries for 1 tokens"));
}

TEST(GgufSource, TensorsThatAreMissingOrOfAnotherShapeAreNamed) {
  const TemporaryFolder folder("gguf_damaged");
  const auto file = convert(folder, {.model = embedded_model(), .type = GgufType::kQ8_0});
  const auto opened = sinq::io::GgufFile::open(file);
  const auto write = [&](const auto& change) {
    auto tensors = opened.tensors();
    change(tensors);
    const auto path = folder.path() / "damaged.gguf";
    sinq::io::GgufWriter writer(path, sinq::io::plan_gguf(opened.metadata(), tensors));
    for (const auto& tensor : writer.plan().tensors) writer.write(std::vector<std::byte>(tensor.end - tensor.begin));
    writer.commit();
    return complaint_of([&] { static_cast<void>(llm::Model::open(path)); });
  };
  const auto find = [](auto& tensors, const char* name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  };
  EXPECT_EQ(write([](auto&) {}), "no error");
  EXPECT_THAT(write([&](auto& tensors) { tensors.erase(find(tensors, "blk.3.ffn_up.weight")); }),
              HasSubstr("damaged.gguf: there is no tensor 'blk.3.ffn_up.weight'"));
  EXPECT_THAT(write([&](auto& tensors) {
                find(tensors, "blk.1.attn_v.weight")->shape = {32, 128};
              }),
              HasSubstr("blk.1.attn_v.weight at byte"));
  EXPECT_THAT(write([&](auto& tensors) { find(tensors, "output_norm.weight")->type = GgufType::kQ8_0; }),
              HasSubstr("output_norm.weight has type q8_0, which is no float type"));
}

}  // namespace
}  // namespace gguf::test
