#include "fold/architecture_json.hpp"

#include "llm/float8_config.hpp"

#include <string>
#include <vector>

namespace fold_program {
namespace {

using llm::Json;
using sinq::Index;
using sinq::fold::Architecture;
using sinq::fold::Family;

/// Experts of Qwen3-MoE, and which layers have none.
void read_qwen3_moe(const Json& config, Architecture& out) {
  out.experts = llm::required<Index>(config, "num_experts");
  out.expert_intermediate = llm::required<Index>(config, "moe_intermediate_size");
  const auto step = llm::value_or<Index>(config, "decoder_sparse_step", 1);
  out.dense_layers = llm::value_or(config, "mlp_only_layers", std::vector<Index>{});
  for (Index layer = 0; layer < out.layers; ++layer) {
    if (step > 0 && (layer + 1) % step != 0) out.dense_layers.push_back(layer);
  }
}

/// Latent attention of DeepSeek-V2, its experts, and which layers have none.
void read_deepseek(const Json& config, Architecture& out) {
  out.query_rank = llm::value_or<Index>(config, "q_lora_rank", 0);
  out.key_value_rank = llm::required<Index>(config, "kv_lora_rank");
  out.nope_dim = llm::required<Index>(config, "qk_nope_head_dim");
  out.rope_dim = llm::required<Index>(config, "qk_rope_head_dim");
  out.value_dim = llm::required<Index>(config, "v_head_dim");
  out.experts = llm::value_or<Index>(config, "n_routed_experts", 0);
  if (out.experts == 0) return;
  out.expert_intermediate = llm::required<Index>(config, "moe_intermediate_size");
  out.shared_experts = llm::value_or<Index>(config, "n_shared_experts", 0);
  const auto first = llm::value_or<Index>(config, "first_k_dense_replace", 0);
  const auto step = llm::value_or<Index>(config, "moe_layer_freq", 1);
  for (Index layer = 0; layer < out.layers; ++layer) {
    if (layer < first || (step > 0 && layer % step != 0)) out.dense_layers.push_back(layer);
  }
}

}  // namespace

Architecture architecture_from_json(const Json& config) {
  constexpr Index kMostLayers = 1 << 16;
  const auto names = llm::required<std::vector<std::string>>(config, "architectures");
  if (llm::has(config, "quantization_config") && !llm::is_float8_config(config["quantization_config"])) {
    throw sinq::Error(sinq::Errc::kUnsupported, "config.json: quantization_config: only float weights can be folded");
  }
  Architecture out{.family = sinq::fold::family_of(names.empty() ? "none" : names.front()),
                   .layers = llm::required<Index>(config, "num_hidden_layers"),
                   .vocab = llm::required<Index>(config, "vocab_size"),
                   .hidden = llm::required<Index>(config, "hidden_size"),
                   .intermediate = llm::required<Index>(config, "intermediate_size"),
                   .heads = llm::required<Index>(config, "num_attention_heads")};
  if (out.layers < 1 || out.layers > kMostLayers || out.heads < 1) {
    throw sinq::Error(sinq::Errc::kBadFile, "config.json: num_hidden_layers " + std::to_string(out.layers) +
                                                " or num_attention_heads " + std::to_string(out.heads) +
                                                " is no sensible number");
  }
  out.kv_heads = llm::value_or(config, "num_key_value_heads", out.heads);
  out.head_dim = llm::value_or(config, "head_dim", out.hidden / out.heads);
  // Transformers does not write what is the default: tied for Gemma, not for the others.
  const bool gemma = out.family == Family::kGemma || out.family == Family::kGemma2 || out.family == Family::kGemma3;
  out.tied_head = llm::value_or(config, "tie_word_embeddings", gemma);
  if (out.family == Family::kQwen3Moe) read_qwen3_moe(config, out);
  if (out.family == Family::kDeepseekV2) read_deepseek(config, out);
  return out;
}

}  // namespace fold_program
