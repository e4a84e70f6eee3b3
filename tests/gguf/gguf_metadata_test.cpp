// What a Hugging Face folder says beside its weights, as a GGUF file says it; more stands in convert_test.cpp.
#include "gguf/gguf_metadata.hpp"

#include "gguf/convert.hpp"
#include "gguf_models.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gguf::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A tiny model whose files can be changed.
class Metadata : public testing::Test {
 protected:
  Metadata() { write_tiny_model(folder_.path(), "LlamaForCausalLM"); }

  void write(const std::filesystem::path& file, const std::string& text) const {
    std::filesystem::create_directories((folder_.path() / file).parent_path());
    llm::test::write_text(folder_.path() / file, text);
  }
  template <class Change>
  void edit(const char* file, const Change& change) const {
    Json json = llm::read_json(folder_.path() / file);
    change(json);
    write(file, json.dump());
  }
  [[nodiscard]] sinq::io::GgufMetadata metadata() const {
    return metadata_of(folder_.path(), llm::ModelConfig::open(folder_.path()), "x", GgufType::kQ8_0, 1e6);
  }

  TemporaryFolder folder_{"gguf_metadata"};
};

Json text_template(const Json& single) { return {{"type", "TemplateProcessing"}, {"single", single}}; }

TEST_F(Metadata, TokensThatThePostProcessorAdds) {
  const Json end = {{"SpecialToken", {{"id", "<|endoftext|>"}, {"type_id", 0}}}},
             text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, other = {{"SpecialToken", {{"id", "other"}}}};
  const auto flags = [&](const Json& post) {
    edit("tokenizer.json", [&](Json& json) { json["post_processor"] = post; });
    const auto data = metadata();
    const auto flag = [&](const char* key) {
      return data.has(key) ? (data.get<bool>(key) ? "yes" : "no") : std::string("unknown");
    };
    return flag("tokenizer.ggml.add_bos_token") + " " + flag("tokenizer.ggml.add_eos_token");
  };
  edit("tokenizer_config.json", [](Json& json) {
    json["bos_token"] = json["eos_token"] = "<|endoftext|>";
    json.erase("add_bos_token");
    json.erase("add_eos_token");
  });
  EXPECT_EQ(flags(nullptr), "unknown unknown");
  EXPECT_EQ(flags(text_template(Json::array({text}))), "unknown unknown");
  EXPECT_EQ(flags(text_template(Json::array({end, text}))), "yes unknown");
  EXPECT_EQ(flags(text_template(Json::array({text, end}))), "unknown yes");
  EXPECT_EQ(flags(text_template(Json::array({end, text, end}))), "yes yes");
  EXPECT_EQ(flags(text_template(Json::array({other, text, other}))), "no no");
  EXPECT_EQ(
      flags({{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, text_template(Json::array({text, end}))}}}),
      "unknown yes");
  edit("tokenizer_config.json", [](Json& json) { json["add_eos_token"] = false; });
  EXPECT_EQ(flags(text_template(Json::array({end, text, end}))), "yes no") << "tokenizer_config.json decides";
}

TEST_F(Metadata, ChatTemplatesOfAllFiles) {
  EXPECT_FALSE(metadata().has("tokenizer.chat_template"));
  write("chat_template.json", R"({"chat_template": "J"})");
  EXPECT_EQ(metadata().get<std::string>("tokenizer.chat_template"), "J");
  write("chat_template.jinja", "T");
  write("additional_chat_templates/tool use.jinja", "U");
  write("additional_chat_templates/rag.jinja", "R");
  write("additional_chat_templates/notes.txt", "N");
  const auto data = metadata();
  EXPECT_EQ(data.get<std::string>("tokenizer.chat_template"), "T");
  EXPECT_EQ(data.get<std::string>("tokenizer.chat_template.rag"), "R");
  EXPECT_EQ(data.get<std::string>("tokenizer.chat_template.tool_use"), "U");
  EXPECT_THAT(data.array<std::string>("tokenizer.chat_templates"), ElementsAre("rag", "tool_use"));
  edit("tokenizer_config.json", [](Json& json) { json["chat_template"] = "C"; });
  EXPECT_EQ(metadata().get<std::string>("tokenizer.chat_template"), "C");
}

TEST_F(Metadata, SamplingAndSizeAndCard) {
  EXPECT_FALSE(metadata().has("general.sampling.temp"));
  write(
      "generation_config.json",
      R"({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": null, "do_sample": true, "eos_token_id": [1, 2]})");
  write("README.md", "---\nlicense: mit\n---\n");
  const auto data = metadata();
  EXPECT_EQ(data.get<float>("general.sampling.temp"), 0.6F);
  EXPECT_EQ(data.get<std::int32_t>("general.sampling.top_k"), 20);
  EXPECT_EQ(data.get<float>("general.sampling.top_p"), 0.95F);
  EXPECT_FALSE(data.has("general.sampling.min_p"));
  EXPECT_EQ(data.get<std::string>("general.size_label"), "1000K");
  EXPECT_EQ(data.get<std::string>("general.license"), "mit");
  write("generation_config.json", R"({"temperature": "hot"})");
  EXPECT_THROW(static_cast<void>(metadata()), sinq::Error);
}

TEST_F(Metadata, WithoutAnEndTokenThereIsAWarning) {
  const auto notes = [&] { return Conversion({.model = folder_.path(), .type = GgufType::kQ8_0}).notes(); };
  EXPECT_THAT(notes(), IsEmpty());
  edit("tokenizer_config.json", [](Json& json) { json.erase("eos_token"); });
  edit("config.json", [](Json& json) { json["eos_token_id"] = {7, 0}; });
  EXPECT_EQ(metadata().integer("tokenizer.ggml.eos_token_id"), 7) << "the first of several";
  edit("config.json", [](Json& json) { json.erase("eos_token_id"); });
  EXPECT_THAT(notes(),
              ElementsAre(HasSubstr("warning: neither tokenizer_config.json nor config.json names an end token")));
}

}  // namespace
}  // namespace gguf::test
