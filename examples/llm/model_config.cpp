#include "llm/model_config.hpp"

#include <sinq/io/checkpoint.hpp>

#include "llm/float8_config.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

namespace llm {
namespace {

[[noreturn]] void refuse_model(const std::string& what, const std::string& known = "") {
  throw sinq::Error(sinq::Errc::kUnsupported,
                    "config.json: " + what + " is not supported" + (known.empty() ? "" : " (known: " + known + ")"));
}

[[noreturn]] void bad_config(const std::string& what) {
  throw sinq::Error(sinq::Errc::kBadFile, "config.json: " + what);
}

/// `object[key]`, at least 1 and at most what a tensor can have.
Index size(const Json& object, const char* key) {
  const auto value = required<Index>(object, key);
  if (value < 1 || value > std::numeric_limits<std::int32_t>::max()) {
    bad_config(std::string(key) + " " + std::to_string(value) + " is not a positive 32-bit number");
  }
  return value;
}

/// Llama 3: long waves are stretched by `factor`, short ones stay, and what lies between is interpolated.
std::vector<float> llama3_factors(const Json& rope, double theta, Index head_dim) {
  const auto factor = required<double>(rope, "factor");
  const auto low = required<double>(rope, "low_freq_factor"), high = required<double>(rope, "high_freq_factor");
  const auto context = required<double>(rope, "original_max_position_embeddings");
  if (!(factor >= 1 && low > 0 && high > low && context > 0)) {
    bad_config(
        "rope_type llama3 needs factor >= 1, 0 < low_freq_factor < high_freq_factor and "
        "original_max_position_embeddings > 0");
  }
  std::vector<float> out;
  for (Index i = 0; i < head_dim / 2; ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    const double waves = context * frequency / (2.0 * std::numbers::pi);  // in the context that was trained first
    const double part = std::clamp((waves - low) / (high - low), 0.0, 1.0);
    out.push_back(static_cast<float>(1.0 / ((1.0 - part) / factor + part)));
  }
  return out;
}

/// From a `rope_scaling` or `rope_parameters` entry; refuses rotary embeddings that the engine does not know.
std::vector<float> find_rope_factors(const Json& description, double theta, Index head_dim) {
  std::vector<float> out;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!has(description, key)) continue;
    const Json& rope = description[key];
    const auto type = value_or(rope, "rope_type", value_or<std::string>(rope, "type", "default"));
    if (type != "default" && type != "llama3") refuse_model("rope_type " + type, "default, llama3");
    if (value_or(rope, "partial_rotary_factor", 1.0) != 1.0) refuse_model("partial_rotary_factor other than 1");
    if (type == "llama3") out = llama3_factors(rope, theta, head_dim);
  }
  return out;
}

/// Folders in sinq's own format may say so, which keeps other programs from taking them for something else; those of
/// the SINQ reference must. 8-bit floats are read as the floats that they stand for.
void check_quantization(const Json& description) {
  if (!has(description, "quantization_config")) return;
  const Json& quantization = description["quantization_config"];
  if (is_float8_config(quantization)) return;
  const auto method = value_or<std::string>(quantization, "quant_method", "none");
  if (method != "sinq-packed" && method != "sinq") refuse_model("quantization_config with quant_method " + method);
}

double find_rope_theta(const Json& description) {
  constexpr double kDefault = 10000.0;
  const double old_key = value_or(description, "rope_theta", kDefault);
  if (!has(description, "rope_parameters")) return old_key;
  return value_or(description["rope_parameters"], "rope_theta", old_key);
}

std::vector<Token> find_end_tokens(const Json& description) {
  if (!has(description, "eos_token_id")) return {};
  if (description["eos_token_id"].is_array()) return required<std::vector<Token>>(description, "eos_token_id");
  return {required<Token>(description, "eos_token_id")};
}

}  // namespace

ModelConfig ModelConfig::open(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder / "config.json", error) &&
      (!std::filesystem::is_directory(folder, error) || !sinq::io::detail::weight_files(folder).empty())) {
    sinq::io::require_model_folder(folder);  // which says what is there instead
  }
  const Json description = read_json(folder / "config.json");
  try {
    return from_json(description);
  } catch (const sinq::Error& e) {
    throw sinq::Error(e.code(), folder.string() + ": " + e.what());
  }
}

ModelConfig ModelConfig::from_json(const Json& description) {
  const auto architectures = required<std::vector<std::string>>(description, "architectures");
  const std::string architecture = architectures.empty() ? "none" : architectures.front();
  if (architecture != "Qwen3ForCausalLM" && architecture != "LlamaForCausalLM") {
    refuse_model("architecture " + architecture, "Qwen3ForCausalLM, LlamaForCausalLM");
  }
  const auto activation = value_or<std::string>(description, "hidden_act", "silu");
  if (activation != "silu") refuse_model("hidden_act " + activation);
  if (value_or(description, "use_sliding_window", false)) refuse_model("use_sliding_window");
  for (const auto& type : value_or(description, "layer_types", std::vector<std::string>{})) {
    if (type != "full_attention") refuse_model("layer_types " + type);
  }
  check_quantization(description);
  if (value_or(description, "partial_rotary_factor", 1.0) != 1.0) refuse_model("partial_rotary_factor other than 1");

  ModelConfig config;
  config.vocab_size = size(description, "vocab_size");
  config.hidden_size = size(description, "hidden_size");
  config.intermediate_size = size(description, "intermediate_size");
  config.layers = size(description, "num_hidden_layers");
  config.heads = size(description, "num_attention_heads");
  config.kv_heads = has(description, "num_key_value_heads") ? size(description, "num_key_value_heads") : config.heads;
  config.head_dim = has(description, "head_dim") ? size(description, "head_dim") : config.hidden_size / config.heads;
  config.max_positions = size(description, "max_position_embeddings");
  config.rms_norm_eps = value_or(description, "rms_norm_eps", 1e-6);
  config.rope_theta = find_rope_theta(description);
  config.query_key_norm = architecture == "Qwen3ForCausalLM";
  config.attention_bias = value_or(description, "attention_bias", false);
  config.mlp_bias = value_or(description, "mlp_bias", false);
  config.tied_head = value_or(description, "tie_word_embeddings", false);
  if (has(description, "bos_token_id")) config.begin_token = required<Token>(description, "bos_token_id");
  config.end_tokens = find_end_tokens(description);
  if (config.heads % config.kv_heads != 0) {
    bad_config("num_attention_heads " + std::to_string(config.heads) + " is not a multiple of num_key_value_heads " +
               std::to_string(config.kv_heads));
  }
  if (config.head_dim < 2 || config.head_dim % 2 != 0) {
    bad_config("head_dim " + std::to_string(config.head_dim) + " is not a positive even number");
  }
  // GGUF files can say Inf; with it the model would compute zeros.
  constexpr double kMost = std::numeric_limits<double>::max();
  if (!(config.rope_theta > 0 && config.rope_theta <= kMost)) bad_config("rope_theta is not positive and finite");
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps <= kMost)) {
    bad_config("rms_norm_eps is not a finite number of at least 0");
  }
  config.rope_factors = find_rope_factors(description, config.rope_theta, config.head_dim);
  return config;
}

}  // namespace llm
