#include "gguf/gguf_metadata.hpp"

#include <sinq/error.hpp>

#include "llm/gguf_description.hpp"
#include "llm/json_file.hpp"
#include "llm/pre_tokenizer.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

namespace gguf {
namespace {

using llm::GgufTokenType;
using llm::has;
using llm::Index;
using llm::Json;
using llm::required;
using llm::value_or;
using sinq::io::GgufArray;
using sinq::io::GgufMetadata;
using sinq::io::GgufType;

[[noreturn]] void refuse(const std::string& what) { throw sinq::Error(sinq::Errc::kUnsupported, what); }

/// general.file_type: what llama.cpp calls the mixture of types; the nearest name, it is shown and no more.
std::uint32_t file_type(GgufType type) {
  switch (type) {
    case GgufType::kF16:
      return 1;
    case GgufType::kQ4_0:
      return 2;
    case GgufType::kQ4_1:
      return 3;
    case GgufType::kQ8_0:
      return 7;
    case GgufType::kQ5_0:
      return 8;
    case GgufType::kQ5_1:
      return 9;
    case GgufType::kQ2K:
      return 10;
    case GgufType::kQ3K:
      return 11;
    case GgufType::kQ4K:
      return 14;
    case GgufType::kQ5K:
      return 16;
    case GgufType::kQ6K:
      return 18;
    case GgufType::kIq4Nl:
      return 25;
    case GgufType::kIq4Xs:
      return 30;
    case GgufType::kBf16:
      return 32;
    case GgufType::kF32:
    case GgufType::kF64:
      break;
  }
  return 0;
}

void add_sizes(const std::string& architecture, const llm::ModelConfig& config, GgufMetadata& out) {
  const auto key = [&](const char* name) { return architecture + "." + name; };
  const auto size = [&](const char* name, Index value) { out.add(key(name), static_cast<std::uint32_t>(value)); };
  size("block_count", config.layers);
  size("context_length", config.max_positions);
  size("embedding_length", config.hidden_size);
  size("feed_forward_length", config.intermediate_size);
  size("attention.head_count", config.heads);
  size("attention.head_count_kv", config.kv_heads);
  out.add(key("rope.freq_base"), static_cast<float>(config.rope_theta));
  out.add(key("attention.layer_norm_rms_epsilon"), static_cast<float>(config.rms_norm_eps));
  size("attention.key_length", config.head_dim);
  size("attention.value_length", config.head_dim);
  if (architecture == "llama") {
    size("vocab_size", config.vocab_size);
    size("rope.dimension_count", config.head_dim);
  }
}

/// llama.cpp's name for how this tokenizer cuts text.
std::string pre_tokenizer_name(const Json& tokenizer) {
  const auto patterns = llm::pre_tokenizer_patterns(value_or(tokenizer, "pre_tokenizer", Json()));
  const bool ignore_merges = value_or(required<Json>(tokenizer, "model"), "ignore_merges", false);
  for (const auto& known : llm::gguf_pre_tokenizers()) {
    if (known.patterns == patterns && known.ignore_merges == ignore_merges) return known.name;
  }
  std::string text;
  for (const std::string& pattern : patterns) text += " " + pattern;
  refuse("tokenizer.json: llama.cpp's pre-tokenizers gpt-2, qwen2 and llama-bpe cut text in other ways than this one:" +
         text + (ignore_merges ? " (ignore_merges)" : ""));
}

/// Whether an added token is one that text cannot spell, as llama.cpp's converter decides.
bool is_control(const Json& token, const std::string& content) {
  return value_or(token, "special", false) || content == "<pad>" || content == "<mask>" ||
         (content.starts_with("<|") && content.ends_with("|>"));
}

void add_tokens(const Json& tokenizer, Index vocab_size, GgufMetadata& out) {
  std::vector<std::string> tokens;
  for (Index i = 0; i < vocab_size; ++i) tokens.push_back("[PAD" + std::to_string(i) + "]");
  std::vector<std::int32_t> types(tokens.size(), static_cast<std::int32_t>(GgufTokenType::kUnused));
  const auto set = [&](Index id, const std::string& text, GgufTokenType type) {
    if (id < 0 || id >= vocab_size) {
      throw sinq::Error(sinq::Errc::kBadFile, "tokenizer.json: token id " + std::to_string(id) +
                                                  " is not below vocab_size " + std::to_string(vocab_size));
    }
    tokens[static_cast<std::size_t>(id)] = text;
    types[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(type);
  };
  const Json model = required<Json>(tokenizer, "model");
  const Json vocabulary = required<Json>(model, "vocab");
  for (const auto& [entry, id] : vocabulary.items()) {
    set(id.get<Index>(), entry, GgufTokenType::kNormal);
  }
  for (const Json& token : value_or(tokenizer, "added_tokens", Json::array())) {
    const auto content = required<std::string>(token, "content");
    set(required<Index>(token, "id"), content,
        is_control(token, content) ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
  }
  out.add("tokenizer.ggml.tokens", GgufArray(std::move(tokens)));
  out.add("tokenizer.ggml.token_type", GgufArray(std::move(types)));

  std::vector<std::string> merges;
  for (const Json& merge : required<Json>(model, "merges")) {
    merges.push_back(merge.is_array() ? merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>()
                                      : merge.get<std::string>());
  }
  out.add("tokenizer.ggml.merges", GgufArray(std::move(merges)));
}

/// The id of the special token `kind` ("bos"): by its text in tokenizer_config.json, else by its id in config.json.
std::optional<Index> special_token(const std::string& kind, const Json& tokenizer, const Json& tokenizer_config,
                                   const Json& config) {
  const std::string key = kind + "_token";
  if (has(tokenizer_config, key.c_str())) {
    const Json& entry = tokenizer_config[key];
    const auto text = entry.is_object() ? required<std::string>(entry, "content") : entry.get<std::string>();
    for (const Json& token : value_or(tokenizer, "added_tokens", Json::array())) {
      if (required<std::string>(token, "content") == text) return required<Index>(token, "id");
    }
  }
  const std::string id_key = key + "_id";
  if (!has(config, id_key.c_str()) || !config[id_key].is_number_integer()) return std::nullopt;
  return config[id_key].get<Index>();
}

/// Whether text begins with the "bos" token: as tokenizer_config.json says, or as the template of tokenizer.json does.
std::optional<bool> adds_bos(const Json& tokenizer, const Json& tokenizer_config) {
  if (has(tokenizer_config, "add_bos_token")) return required<bool>(tokenizer_config, "add_bos_token");
  const Json post = value_or(tokenizer, "post_processor", Json::object());
  for (const Json& step : value_or(post, "processors", Json::array({post}))) {
    if (value_or<std::string>(step, "type", "") != "TemplateProcessing") continue;
    const Json single = value_or(step, "single", Json::array());
    if (single.size() > 1 && single[0].contains("SpecialToken")) return true;
  }
  return std::nullopt;
}

/// One template, or several with names, of which "default" is the one.
void add_chat_template(const std::filesystem::path& folder, const Json& tokenizer_config, GgufMetadata& out) {
  constexpr const char* kKey = "tokenizer.chat_template";
  if (has(tokenizer_config, "chat_template")) {
    const Json& entry = tokenizer_config["chat_template"];
    if (entry.is_string()) return out.add(kKey, entry.get<std::string>());
    std::vector<std::string> names;
    for (const Json& named : entry) {
      const auto name = required<std::string>(named, "name");
      if (name != "default") names.push_back(name);
      out.add(name == "default" ? kKey : kKey + ("." + name), required<std::string>(named, "template"));
    }
    if (!names.empty()) out.add("tokenizer.chat_templates", GgufArray(std::move(names)));
  } else if (std::ifstream file(folder / "chat_template.jinja", std::ios::binary); file) {
    std::ostringstream text;
    text << file.rdbuf();
    out.add(kKey, text.str());
  }
}

void add_tokenizer(const std::filesystem::path& folder, const llm::ModelConfig& config, GgufMetadata& out) {
  const Json tokenizer = llm::read_json(folder / "tokenizer.json");
  static_cast<void>(llm::Tokenizer(tokenizer));  // which refuses what is not byte-level BPE
  const Json description = llm::read_json(folder / "config.json");
  const bool has_config = std::filesystem::exists(folder / "tokenizer_config.json");
  const Json tokenizer_config = has_config ? llm::read_json(folder / "tokenizer_config.json") : Json::object();
  out.add("tokenizer.ggml.model", "gpt2");
  out.add("tokenizer.ggml.pre", pre_tokenizer_name(tokenizer));
  add_tokens(tokenizer, config.vocab_size, out);
  // Their key for "separator" is spelled so.
  for (const auto& [kind, key] : {std::pair{"bos", "bos"},
                                  {"eos", "eos"},
                                  {"unk", "unknown"},
                                  {"sep", "seperator"},
                                  {"pad", "padding"},
                                  {"mask", "mask"}}) {
    if (const auto id = special_token(kind, tokenizer, tokenizer_config, description)) {
      out.add("tokenizer.ggml." + std::string(key) + "_token_id", static_cast<std::uint32_t>(*id));
    }
  }
  if (const auto bos = adds_bos(tokenizer, tokenizer_config)) out.add("tokenizer.ggml.add_bos_token", *bos);
  if (has(tokenizer_config, "add_eos_token")) {
    out.add("tokenizer.ggml.add_eos_token", required<bool>(tokenizer_config, "add_eos_token"));
  }
  add_chat_template(folder, tokenizer_config, out);
}

}  // namespace

std::string architecture_of(const llm::ModelConfig& config) { return config.query_key_norm ? "qwen3" : "llama"; }

GgufMetadata metadata_of(const std::filesystem::path& folder, const llm::ModelConfig& config, const std::string& name,
                         GgufType type) {
  GgufMetadata out(folder.string());
  const std::string architecture = architecture_of(config);
  out.add("general.architecture", architecture);
  out.add("general.type", "model");
  out.add("general.name", name);
  add_sizes(architecture, config, out);
  out.add("general.file_type", file_type(type));
  out.add("general.quantization_version", std::uint32_t{2});
  try {
    add_tokenizer(folder, config, out);
  } catch (const Json::exception& e) {
    throw sinq::Error(sinq::Errc::kBadFile, folder.string() + ": tokenizer: " + e.what());
  }
  return out;
}

}  // namespace gguf
