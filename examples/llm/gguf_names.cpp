#include "llm/gguf_names.hpp"

#include <sinq/error.hpp>
#include <sinq/io/printable.hpp>

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

/// How one side spells names.
struct Spelling {
  std::string_view block_prefix;
  std::string_view Name::*part;
};
constexpr Spelling kHuggingFace{"model.layers.", &Name::first};
constexpr Spelling kGguf{"blk.", &Name::second};

template <class Names>
std::string_view find(const Names& names, std::string_view stem, Spelling from, Spelling to) {
  for (const Name& name : names) {
    if (name.*from.part == stem) return name.*to.part;
  }
  return {};
}

std::string renamed(const std::string& name, Spelling from, Spelling to) {
  const auto suffix = name.rfind('.');
  const auto end = suffix == std::string::npos ? name.size() : suffix;
  const std::string_view stem = std::string_view(name).substr(0, end);
  std::string out;
  std::string_view found = find(kModelNames, stem, from, to);
  if (stem.starts_with(from.block_prefix)) {
    const auto digits = stem.find('.', from.block_prefix.size());
    if (digits != std::string_view::npos) {
      found = find(kBlockNames, stem.substr(digits + 1), from, to);
      out = std::string(to.block_prefix) +
            std::string(stem.substr(from.block_prefix.size(), digits - from.block_prefix.size())) + ".";
    }
  }
  const std::string_view kind = std::string_view(name).substr(end);
  if (found.empty() || (kind != ".weight" && kind != ".bias")) {
    throw sinq::Error(sinq::Errc::kUnsupported,
                      "tensor " + sinq::io::detail::name_text(name) + ": no such tensor is known in GGUF files");
  }
  return out + std::string(found) + std::string(kind);
}

}  // namespace

std::string gguf_name(const std::string& name) { return renamed(name, kHuggingFace, kGguf); }

std::string hugging_face_name(const std::string& name) { return renamed(name, kGguf, kHuggingFace); }

bool has_rope_order(const std::string& name) {
  return name.find(".self_attn.q_proj.") != std::string::npos || name.find(".self_attn.k_proj.") != std::string::npos;
}

}  // namespace llm
