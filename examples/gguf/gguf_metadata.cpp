#include "gguf/gguf_metadata.hpp"

#include <sinq/error.hpp>
#include <sinq/io/mapped_file.hpp>

#include "gguf/file_type.hpp"
#include "gguf/model_card.hpp"
#include "llm/gguf_description.hpp"
#include "llm/json_file.hpp"
#include "llm/pre_tokenizer.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
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

/// The id of the added token that is spelled so.
std::optional<Index> added_token(const Json& tokenizer, const std::string& text) {
  for (const Json& token : value_or(tokenizer, "added_tokens", Json::array())) {
    if (required<std::string>(token, "content") == text) return required<Index>(token, "id");
  }
  return std::nullopt;
}

/// The id of the special token `kind` ("bos"): by its text in tokenizer_config.json, else by its id in config.json, the
/// first of several.
std::optional<Index> special_token(const std::string& kind, const Json& tokenizer, const Json& tokenizer_config,
                                   const Json& config) {
  const std::string key = kind + "_token";
  if (has(tokenizer_config, key.c_str())) {
    const Json& entry = tokenizer_config[key];
    const auto text = entry.is_object() ? required<std::string>(entry, "content") : entry.get<std::string>();
    if (const auto id = added_token(tokenizer, text)) return id;
  }
  const std::string id_key = key + "_id";
  if (!has(config, id_key.c_str())) return std::nullopt;
  const Json& ids = config[id_key];
  const Json& id = ids.is_array() && !ids.empty() ? ids.front() : ids;
  return id.is_number_integer() ? std::optional(id.get<Index>()) : std::nullopt;
}

/// Whether text gets a special token at its front ("bos") or back ("eos"): as tokenizer_config.json says, or as the
/// template of tokenizer.json does. `id`: of that token, if it is known; another one at that end is none of it.
std::optional<bool> adds_token(const std::string& kind, std::optional<Index> id, const Json& tokenizer,
                               const Json& tokenizer_config) {
  const std::string key = "add_" + kind + "_token";
  if (has(tokenizer_config, key.c_str())) return required<bool>(tokenizer_config, key.c_str());
  const Json post = value_or(tokenizer, "post_processor", Json::object());
  for (const Json& step : value_or(post, "processors", Json::array({post}))) {
    if (value_or<std::string>(step, "type", "") != "TemplateProcessing") continue;
    const Json single = value_or(step, "single", Json::array());
    if (single.size() < 2) continue;
    const Json& end = kind == "bos" ? single.front() : single.back();
    if (!end.contains("SpecialToken")) continue;
    const auto text = required<std::string>(end["SpecialToken"], "id");
    return id && added_token(tokenizer, text) == id;
  }
  return std::nullopt;
}

std::string text_of(const std::filesystem::path& path) {
  const auto file = sinq::io::MappedFile::open(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Templates with names: "default" is the template, the others have keys of their own.
void add_named_templates(const std::vector<std::pair<std::string, std::string>>& templates, GgufMetadata& out) {
  constexpr const char* kKey = "tokenizer.chat_template";
  std::vector<std::string> names;
  for (const auto& [given, text] : templates) {
    std::string name = given;
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    if (name != "default") names.push_back(name);
    out.add(name == "default" ? kKey : kKey + ("." + name), text);
  }
  if (!names.empty()) out.add("tokenizer.chat_templates", GgufArray(std::move(names)));
}

/// From tokenizer_config.json, else chat_template.jinja and additional_chat_templates, else chat_template.json: in the
/// order in which llama.cpp's converter looks.
void add_chat_template(const std::filesystem::path& folder, const Json& tokenizer_config, GgufMetadata& out) {
  namespace fs = std::filesystem;
  Json entry;
  if (has(tokenizer_config, "chat_template")) {
    entry = tokenizer_config["chat_template"];
  } else if (fs::is_regular_file(folder / "chat_template.jinja")) {
    std::vector<std::pair<std::string, std::string>> templates{{"default", text_of(folder / "chat_template.jinja")}};
    std::error_code none;
    for (const auto& file : fs::directory_iterator(folder / "additional_chat_templates", none)) {
      if (file.path().extension() == ".jinja") {
        templates.emplace_back(file.path().stem().string(), text_of(file.path()));
      }
    }
    std::sort(templates.begin() + 1, templates.end());
    return add_named_templates(templates, out);
  } else if (fs::is_regular_file(folder / "chat_template.json")) {
    entry = value_or(llm::read_json(folder / "chat_template.json"), "chat_template", Json());
  }
  if (entry.is_null()) return;
  if (entry.is_string()) return add_named_templates({{"default", entry.get<std::string>()}}, out);
  std::vector<std::pair<std::string, std::string>> templates;
  for (const Json& named : entry) {
    templates.emplace_back(required<std::string>(named, "name"), required<std::string>(named, "template"));
  }
  add_named_templates(templates, out);
}

/// What generation_config.json says of sampling, as far as llama.cpp's converter takes it over.
void add_sampling(const std::filesystem::path& folder, GgufMetadata& out) {
  if (!std::filesystem::exists(folder / "generation_config.json")) return;
  const Json config = llm::read_json(folder / "generation_config.json");
  const auto real = [&](const char* key, const char* name) {
    if (has(config, key)) out.add(std::string("general.sampling.") + name, required<float>(config, key));
  };
  const auto integer = [&](const char* key) {
    if (has(config, key)) out.add(std::string("general.sampling.") + key, required<std::int32_t>(config, key));
  };
  if (has(config, "sequence")) out.add("general.sampling.sequence", required<std::string>(config, "sequence"));
  integer("top_k");
  real("top_p", "top_p");
  real("min_p", "min_p");
  real("xtc_probability", "xtc_probability");
  real("xtc_threshold", "xtc_threshold");
  real("temperature", "temp");
  integer("penalty_last_n");
  real("penalty_repeat", "penalty_repeat");
  integer("mirostat");
  real("mirostat_tau", "mirostat_tau");
  real("mirostat_eta", "mirostat_eta");
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
  std::map<std::string, std::optional<Index>> ids;
  for (const auto& [kind, key] : {std::pair{"bos", "bos"},
                                  {"eos", "eos"},
                                  {"unk", "unknown"},
                                  {"sep", "seperator"},
                                  {"pad", "padding"},
                                  {"mask", "mask"}}) {
    const auto id = ids[kind] = special_token(kind, tokenizer, tokenizer_config, description);
    if (id) out.add("tokenizer.ggml." + std::string(key) + "_token_id", static_cast<std::uint32_t>(*id));
  }
  for (const char* kind : {"bos", "eos"}) {
    const auto adds = adds_token(kind, ids[kind], tokenizer, tokenizer_config);
    if (adds) out.add("tokenizer.ggml.add_" + std::string(kind) + "_token", *adds);
  }
  add_chat_template(folder, tokenizer_config, out);
}

}  // namespace

std::string architecture_of(const llm::ModelConfig& config) { return config.query_key_norm ? "qwen3" : "llama"; }

GgufMetadata metadata_of(const std::filesystem::path& folder, const llm::ModelConfig& config, const std::string& name,
                         GgufType type, double weights) {
  GgufMetadata out(folder.string());
  const std::string architecture = architecture_of(config);
  out.add("general.architecture", architecture);
  out.add("general.type", "model");
  out.add("general.name", name);
  out.add("general.size_label", size_label(weights));
  add_model_card(folder, out);
  add_sampling(folder, out);
  add_sizes(architecture, config, out);
  out.add("general.file_type", file_type(type));
  out.add("general.quantization_version", kQuantizationVersion);
  try {
    add_tokenizer(folder, config, out);
  } catch (const Json::exception& e) {
    throw sinq::Error(sinq::Errc::kBadFile, folder.string() + ": tokenizer: " + e.what());
  }
  return out;
}

}  // namespace gguf
