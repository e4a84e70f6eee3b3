#include "llm/gguf_names.hpp"

#include <sinq/error.hpp>

#include <array>
#include <string_view>
#include <utility>

namespace llm {
namespace {

using Name = std::pair<std::string_view, std::string_view>;

/// Without ".weight" and ".bias".
constexpr std::array<Name, 3> kModelNames{
    {{"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}}};
constexpr std::array<Name, 11> kBlockNames{{{"input_layernorm", "attn_norm"},
                                            {"self_attn.q_proj", "attn_q"},
                                            {"self_attn.k_proj", "attn_k"},
                                            {"self_attn.v_proj", "attn_v"},
                                            {"self_attn.o_proj", "attn_output"},
                                            {"self_attn.q_norm", "attn_q_norm"},
                                            {"self_attn.k_norm", "attn_k_norm"},
                                            {"post_attention_layernorm", "ffn_norm"},
                                            {"mlp.gate_proj", "ffn_gate"},
                                            {"mlp.up_proj", "ffn_up"},
                                            {"mlp.down_proj", "ffn_down"}}};

constexpr std::string_view kBlockPrefix = "model.layers.";

template <class Names>
std::string_view find(const Names& names, std::string_view stem) {
  for (const auto& [theirs, ours] : names) {
    if (theirs == stem) return ours;
  }
  return {};
}

}  // namespace

std::string gguf_name(const std::string& name) {
  const auto suffix = name.rfind('.');
  const auto end = suffix == std::string::npos ? name.size() : suffix;
  const std::string_view stem = std::string_view(name).substr(0, end);
  std::string out;
  std::string_view found = find(kModelNames, stem);
  if (stem.starts_with(kBlockPrefix)) {
    const auto digits = stem.find('.', kBlockPrefix.size());
    if (digits != std::string_view::npos) {
      found = find(kBlockNames, stem.substr(digits + 1));
      out = "blk." + std::string(stem.substr(kBlockPrefix.size(), digits - kBlockPrefix.size())) + ".";
    }
  }
  const std::string_view kind = std::string_view(name).substr(end);
  if (found.empty() || (kind != ".weight" && kind != ".bias")) {
    throw sinq::Error(sinq::Errc::kUnsupported, "tensor " + name + ": no such tensor is known in GGUF files");
  }
  return out + std::string(found) + std::string(kind);
}

bool has_rope_order(const std::string& name) {
  return name.find(".self_attn.q_proj.") != std::string::npos || name.find(".self_attn.k_proj.") != std::string::npos;
}

}  // namespace llm
