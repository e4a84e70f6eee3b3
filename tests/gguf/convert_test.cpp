#include "gguf/convert.hpp"

#include "fold/fold_model.hpp"
#include "gguf_models.hpp"
#include "llm/evaluate.hpp"
#include "llm/gguf_names.hpp"
#include "llm/token_blocks.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace gguf::test {
namespace {

using sinq_test::content_of;
using sinq_test::expect_error;

/// KL of a GGUF file to the embedded model, over a few of the model's own samples.
double kl_of(const std::filesystem::path& file) {
  auto blocks = llm::blocks_from_tokens(embedded_model() / "samples.safetensors", 64);
  blocks.limit(8);
  const auto baseline = llm::read_baseline(llm::Model::open(embedded_model()), blocks, 0, 0);
  return llm::evaluate(llm::Model::open(file), blocks, &baseline, 0).kl;
}

TEST(Conversion, EmbeddedModelIsFoldedWrittenReadBackAndScored) {
  const TemporaryFolder folder("gguf_score");
  const auto kl = [&](GgufType type, bool fold, Importance importance) {
    ConvertOptions options{.model = embedded_model(), .type = type, .importance = importance};
    if (fold) options.fold.emplace();
    return kl_of(convert(folder, options));
  };
  // Folding as such changes nothing but roundings of float32 weights: here at most 1e-6 nats.
  ConvertOptions floats{.model = embedded_model(), .type = GgufType::kF32, .embeddings = GgufType::kF32};
  floats.fold.emplace();
  EXPECT_LT(kl_of(convert(folder, floats)), 1e-6);
  // A run of the same model, far above what rounding to 16 or 8 bits costs and far below what a wrong order of rows,
  // a tensor in the wrong place or a missing factor would (more than 1).
  EXPECT_LT(kl(GgufType::kBf16, false, Importance::kNone), 1e-3);
  EXPECT_LT(kl(GgufType::kQ8_0, true, Importance::kNone), 1e-2);
  const double plain = kl(GgufType::kQ4_0, false, Importance::kNone);
  EXPECT_GT(plain, 1e-3);
  EXPECT_LT(plain, 0.2);
  EXPECT_LT(kl(GgufType::kQ4_0, true, Importance::kSinkhorn), plain);
}

TEST(Conversion, FoldedFloatsAreThoseOfSinqFold) {
  const TemporaryFolder folder("gguf_fold");
  const auto source = fold_program::Source::open(embedded_model());
  const auto out = folder.path() / "folded";
  sinq::io::AtomicFolder folded(out);
  static_cast<void>(
      fold_program::write_folded(source, fold_program::find_factors(source.files, source.plan, {}), folded, {}));
  ConvertOptions options{.model = embedded_model(), .type = GgufType::kBf16, .embeddings = GgufType::kBf16};
  options.fold.emplace();
  const auto gguf = sinq::io::GgufFile::open(convert(folder, options));
  const auto checkpoint = sinq::io::Checkpoint::open(out);
  int matrices = 0;
  for (const auto& tensor : checkpoint.tensors()) {
    if (tensor.info.shape.size() != 2) continue;
    const auto expected = tensor.bytes(), bytes = gguf.bytes(gguf.at(llm::gguf_name(tensor.info.name)));
    EXPECT_TRUE(std::ranges::equal(bytes, expected)) << tensor.info.name;
    ++matrices;
  }
  EXPECT_EQ(matrices, 1 + 4 * 7);
}

TEST(Conversion, WritesWhatLlamaCppsConverterWrites) {
  const TemporaryFolder folder("gguf_metadata");
  const auto file =
      sinq::io::GgufFile::open(convert(folder, {.model = embedded_model(), .name = "tiny", .type = GgufType::kQ4_0}));
  const auto& data = file.metadata();
  EXPECT_EQ(data.get<std::string>("general.architecture"), "qwen3");
  EXPECT_EQ(data.get<std::string>("general.type"), "model");
  EXPECT_EQ(data.get<std::string>("general.name"), "tiny");
  EXPECT_EQ(data.get<std::uint32_t>("general.file_type"), 2U);  // mostly q4_0
  EXPECT_EQ(data.get<std::uint32_t>("general.quantization_version"), 2U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.block_count"), 4U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.context_length"), 512U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.embedding_length"), 128U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.feed_forward_length"), 384U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.attention.head_count"), 4U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.attention.head_count_kv"), 2U);
  EXPECT_EQ(data.get<std::uint32_t>("qwen3.attention.key_length"), 32U);
  EXPECT_EQ(data.get<float>("qwen3.rope.freq_base"), 10000.0F);
  EXPECT_EQ(data.get<float>("qwen3.attention.layer_norm_rms_epsilon"), 1e-6F);
  EXPECT_EQ(data.get<std::string>("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(data.get<std::string>("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(data.get<std::uint32_t>("tokenizer.ggml.bos_token_id"), 0U);
  EXPECT_EQ(data.get<std::uint32_t>("tokenizer.ggml.eos_token_id"), 0U);
  EXPECT_FALSE(data.has("tokenizer.ggml.padding_token_id")) << "null in config.json";
  const auto& tokens = data.array<std::string>("tokenizer.ggml.tokens");
  const auto& types = data.array<std::int32_t>("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 2048U);
  EXPECT_EQ(tokens[0], "<|endoftext|>");
  EXPECT_EQ(types[0], 3);  // control
  EXPECT_EQ(std::count(types.begin(), types.end(), 1), 2047);
  EXPECT_EQ(data.array<std::string>("tokenizer.ggml.merges").front(), "\xc4\xa0 t");

  EXPECT_EQ(file.tensors().size(), 2U + 4 * 11);
  EXPECT_EQ(file.at("token_embd.weight").type, GgufType::kF16);
  EXPECT_EQ(file.at("token_embd.weight").shape, (std::vector<Index>{2048, 128}));
  EXPECT_EQ(file.at("blk.0.attn_norm.weight").type, GgufType::kF32);
  EXPECT_EQ(file.at("blk.3.attn_k_norm.weight").shape, (std::vector<Index>{32}));
  EXPECT_EQ(file.at("blk.3.ffn_down.weight").type, GgufType::kQ4_0);
  EXPECT_EQ(file.at("blk.3.ffn_down.weight").shape, (std::vector<Index>{128, 384}));
  EXPECT_EQ(file.find("output.weight"), nullptr) << "the head is the embedding table";
}

TEST(Conversion, SizeIsKnownBeforeAndBytesDoNotDependOnThreads) {
  const TemporaryFolder folder("gguf_threads");
  const auto bytes = [&](int threads) {
    const auto file = folder.path() / std::to_string(threads);
    Conversion conversion({.model = embedded_model(),
                           .type = GgufType::kIq4Nl,
                           .fold = sinq::fold::ScaleOptions{},
                           .importance = Importance::kSinkhorn,
                           .threads = threads});
    conversion.write(file);
    EXPECT_EQ(std::filesystem::file_size(file), conversion.plans().front().file_bytes);
    return content_of(file);
  };
  EXPECT_TRUE(bytes(1) == bytes(3));
}

TEST(Conversion, RowsThatAreNoWholeBlocksFallBackUnlessThatIsForbidden) {
  ConvertOptions options{.model = embedded_model(), .type = GgufType::kQ4K};
  const Conversion automatic(options);
  EXPECT_EQ(automatic.plans().front().tensors[2].type, GgufType::kQ5_0);
  EXPECT_THAT(automatic.notes(),
              testing::ElementsAre(testing::HasSubstr("28 tensors are q5_0, not q4_k, whose blocks of 256")));
  options.fallback = {.is_allowed = false};
  const auto make = [&] { static_cast<void>(Conversion(options)); };
  expect_error(sinq::Errc::kBadShape, make, "model.layers.0.self_attn.q_proj.weight", "rows of 128",
               "multiple of 256, the block of q4_k", "--fallback");
  options.fallback = {.type = GgufType::kQ6K};
  expect_error(sinq::Errc::kBadShape, make, "nor of that of the fallback q6_k");
  options.fallback = {.type = GgufType::kIq4Nl};
  EXPECT_EQ(Conversion(options).plans().front().tensors[2].type, GgufType::kIq4Nl);
}

TEST(Conversion, ActivationsAreAnImportanceToo) {
  const TemporaryFolder folder("gguf_activations");
  const auto text = folder.path() / "text";
  llm::test::write_text(text, [] {
    std::string words;
    for (int i = 0; i < 200; ++i) words += "The war of the " + std::to_string(i) + " years went on. ";
    return words;
  }());
  ConvertOptions options{.model = embedded_model(), .type = GgufType::kQ4_0};
  const std::string plain = content_of(convert(folder, options));
  options.importance = Importance::kActivations;
  options.calibration = text;
  options.calibration_context = 128;
  options.calibration_blocks = 4;
  const auto file = convert(folder, options);
  EXPECT_EQ(content_of(file).size(), plain.size());
  EXPECT_FALSE(content_of(file) == plain);
  EXPECT_LT(kl_of(file), 0.2);  // as above
}

TEST(Conversion, WhatHasNoPlaceInTheFileIsRefused) {
  const Json kNoChanges = Json::object();
  const auto refuse = [](sinq::Errc code, const Json& changes,
                         const std::function<void(const std::filesystem::path&)>& damage, const char* part) {
    const TemporaryFolder folder("gguf_refused");
    write_tiny_model(folder.path(), changes.value("architecture", "LlamaForCausalLM"), changes);
    if (damage) damage(folder.path());
    expect_error(
        code,
        [&] {
          Conversion conversion({.model = folder.path(), .type = GgufType::kQ8_0});
          conversion.write(folder.path() / "out.gguf");
        },
        part);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out.gguf"));
  };
  const auto edit = [](const char* file, const auto& change) {
    return [=](const std::filesystem::path& folder) {
      Json json = llm::read_json(folder / file);
      change(json);
      llm::test::write_text(folder / file, json.dump());
    };
  };
  const auto tensor = [](const std::string& name, const llm::test::TinyModel::Tensor& value) {
    return [=](const std::filesystem::path& folder) {
      auto model = llm::test::make_tiny_model(llm::read_json(folder / "config.json"), 7);
      model.tensors[name] = value;
      write_model(model, folder);
    };
  };
  refuse(sinq::Errc::kUnsupported, kNoChanges, tensor("model.layers.0.extra.weight", {{1}, {1.0}}),
         "tensor 'model.layers.0.extra.weight' has no place");
  refuse(sinq::Errc::kBadFile, kNoChanges, tensor("model.norm.weight", {{2}, {1.0, 2.0}}),
         "tensor 'model.norm.weight' is F32 [2], config.json asks for floats [64]");
  refuse(sinq::Errc::kBadData, kNoChanges,
         tensor("model.embed_tokens.weight", {{2048, 64}, std::vector<double>(2048 * 64, 1e5)}),
         "tensor 'model.embed_tokens.weight': row 0, column 0 is 1e+05, which is beyond f16");
  refuse(sinq::Errc::kUnsupported, {{"architecture", "Qwen3ForCausalLM"}, {"attention_bias", true}}, {},
         "biases of a Qwen3 model are not supported");
  refuse(sinq::Errc::kUnsupported, kNoChanges,
         edit("tokenizer.json", [](Json& json) { json["model"]["type"] = "Unigram"; }), "Unigram");
  refuse(sinq::Errc::kUnsupported, kNoChanges,
         edit("tokenizer.json", [](Json& json) { json["model"]["ignore_merges"] = true; }), "(ignore_merges)");
  refuse(sinq::Errc::kBadFile, kNoChanges,
         edit("tokenizer.json", [](Json& json) { json["added_tokens"][0]["id"] = 2048; }),
         "token id 2048 is not below vocab_size 2048");
}

TEST(Conversion, SpecialTokensAndTemplatesAreThoseOfTheTokenizerConfig) {
  const TemporaryFolder folder("gguf_special"), out("gguf_special_out");
  write_tiny_model(folder.path(), "LlamaForCausalLM", {{"pad_token_id", 7}, {"bos_token_id", 3}});
  Json config = llm::read_json(folder.path() / "tokenizer_config.json");
  config["add_bos_token"] = true;
  config["chat_template"] =
      Json::array({{{"name", "default"}, {"template", "A"}}, {{"name", "tool"}, {"template", "B"}}});
  config["bos_token"] = {{"content", "<|endoftext|>"}};
  llm::test::write_text(folder.path() / "tokenizer_config.json", config.dump());
  const auto file = sinq::io::GgufFile::open(convert(out, {.model = folder.path(), .type = GgufType::kQ8_0}));
  const auto& data = file.metadata();
  EXPECT_EQ(data.integer("tokenizer.ggml.bos_token_id"), 0) << "by its text, before the id in config.json";
  EXPECT_EQ(data.integer("tokenizer.ggml.padding_token_id"), 7);
  EXPECT_TRUE(data.get<bool>("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(data.get<std::string>("tokenizer.chat_template"), "A");
  EXPECT_EQ(data.get<std::string>("tokenizer.chat_template.tool"), "B");
  EXPECT_EQ(data.array<std::string>("tokenizer.chat_templates"), std::vector<std::string>{"tool"});
  EXPECT_EQ(data.integer("llama.vocab_size"), 2048);
  EXPECT_EQ(data.integer("llama.rope.dimension_count"), 16);
}

}  // namespace
}  // namespace gguf::test
