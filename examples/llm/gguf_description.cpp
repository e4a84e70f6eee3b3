#include "llm/gguf_description.hpp"

#include <sinq/io/tensor_info.hpp>

#include "llm/pre_tokenizer.hpp"

#include <algorithm>
#include <map>

namespace llm {
namespace {

using sinq::Index;
using sinq::io::GgufMetadata;

[[noreturn]] void refuse(const GgufMetadata& metadata, const std::string& what, const std::string& known = "") {
  throw sinq::Error(sinq::Errc::kUnsupported, metadata.what() + ": " + what + " is not supported" +
                                                  (known.empty() ? "" : " (known: " + known + ")"));
}

Json split(const std::string& pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

}  // namespace

const std::vector<GgufPreTokenizer>& gguf_pre_tokenizers() {
  const auto with_numbers = [](const std::string& numbers) {
    return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + numbers +
           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  };
  static const std::vector<GgufPreTokenizer> known{
      {.name = "gpt-2", .patterns = {kGpt2Pattern}},
      {.name = "qwen2", .patterns = {with_numbers(R"(\p{N})")}, .normal_form_c = true},
      {.name = "llama-bpe", .patterns = {with_numbers(R"(\p{N}{1,3})")}, .ignore_merges = true},
  };
  return known;
}

Json config_from_gguf(const GgufMetadata& metadata, bool tied_head) {
  const auto& architecture = metadata.get<std::string>("general.architecture");
  const std::map<std::string_view, const char*> known{
      {"qwen3", "Qwen3ForCausalLM"}, {"llama", "LlamaForCausalLM"}, {"qwen2", "Qwen2ForCausalLM"}};
  const auto described = known.find(architecture);
  if (described == known.end()) refuse(metadata, "general.architecture " + architecture, "qwen3, llama, qwen2");
  const auto key = [&](const char* name) { return architecture + "." + name; };
  if (metadata.has(key("rope.scaling.type")) && metadata.get<std::string>(key("rope.scaling.type")) != "none") {
    refuse(metadata, key("rope.scaling.type") + " " + metadata.get<std::string>(key("rope.scaling.type")));
  }
  const Index hidden = metadata.integer(key("embedding_length"));
  const Index heads = metadata.integer(key("attention.head_count"));
  const Index head_dim = metadata.integer_or(key("attention.key_length"), heads > 0 ? hidden / heads : 0);
  for (const char* same : {"attention.value_length", "rope.dimension_count"}) {
    if (metadata.integer_or(key(same), head_dim) != head_dim) {
      refuse(metadata, key(same) + " differs from the length of keys, " + std::to_string(head_dim) + ", which");
    }
  }
  const auto tokens = static_cast<Index>(metadata.array<std::string>("tokenizer.ggml.tokens").size());
  Json out{{"architectures", {described->second}},
           {"vocab_size", metadata.integer_or(key("vocab_size"), tokens)},
           {"hidden_size", hidden},
           {"intermediate_size", metadata.integer(key("feed_forward_length"))},
           {"num_hidden_layers", metadata.integer(key("block_count"))},
           {"num_attention_heads", heads},
           {"num_key_value_heads", metadata.integer_or(key("attention.head_count_kv"), heads)},
           {"head_dim", head_dim},
           {"max_position_embeddings", metadata.integer(key("context_length"))},
           {"rms_norm_eps", metadata.real(key("attention.layer_norm_rms_epsilon"))},
           {"rope_theta", metadata.real_or(key("rope.freq_base"), 10000.0)},
           {"tie_word_embeddings", tied_head}};
  constexpr const char* kBegin = "tokenizer.ggml.bos_token_id";
  if (metadata.has(kBegin)) out["bos_token_id"] = metadata.integer(kBegin);
  for (const char* end : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (metadata.has(end)) out["eos_token_id"].push_back(metadata.integer(end));
  }
  return out;
}

Json tokenizer_from_gguf(const GgufMetadata& metadata) {
  const auto& model = metadata.get<std::string>("tokenizer.ggml.model");
  if (model != "gpt2") refuse(metadata, "tokenizer.ggml.model " + model, "gpt2, byte-level BPE");
  const auto& pre = metadata.get<std::string>("tokenizer.ggml.pre");
  const auto& known = gguf_pre_tokenizers();
  const auto at = std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.name == pre; });
  if (at == known.end()) refuse(metadata, "tokenizer.ggml.pre " + pre, "gpt-2, qwen2, llama-bpe");

  const auto& tokens = metadata.array<std::string>("tokenizer.ggml.tokens");
  const auto& types = metadata.array<std::int32_t>("tokenizer.ggml.token_type");
  if (types.size() != tokens.size()) {
    throw sinq::Error(sinq::Errc::kBadFile, metadata.what() + ": tokenizer.ggml.token_type has " +
                                                std::to_string(types.size()) + " entries for " +
                                                std::to_string(tokens.size()) + " tokens");
  }
  Json vocabulary = Json::object(), added = Json::array(), steps = Json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto type = static_cast<GgufTokenType>(types[i]);
    if (type == GgufTokenType::kControl || type == GgufTokenType::kUserDefined) {
      added.push_back({{"id", i}, {"content", tokens[i]}});
    } else if (type == GgufTokenType::kNormal && !vocabulary.emplace(tokens[i], i).second) {
      throw sinq::Error(sinq::Errc::kBadFile, metadata.what() + ": tokenizer.ggml.tokens: " +
                                                  sinq::io::detail::name_text(tokens[i]) + " stands twice");
    }
  }
  for (const std::string& pattern : at->patterns) steps.push_back(split(pattern));
  Json out{{"added_tokens", std::move(added)},
           {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}}},
           {"model",
            {{"type", "BPE"},
             {"vocab", std::move(vocabulary)},
             {"merges", metadata.array<std::string>("tokenizer.ggml.merges")},
             {"ignore_merges", at->ignore_merges}}}};
  if (at->normal_form_c) out["normalizer"] = {{"type", "NFC"}};
  return out;
}

}  // namespace llm
