#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::fold {

/// Models whose edges are known.
enum class Family : std::uint8_t {
  kLlama,
  kMistral,
  kQwen2,      ///< biases of q, k and v
  kQwen3,      ///< norms of queries and keys
  kPhi3,       ///< q, k and v in one tensor, gate and up in one
  kGemma,      ///< norms multiply by 1 + w
  kGemma2,     ///< and more norms, behind attention and MLP
  kGemma3,     ///< and norms of queries and keys
  kQwen3Moe,   ///< a router and experts
  kDeepseekV2  ///< multi-head latent attention, a router, experts and shared experts, dense first layers
};

namespace detail {

inline constexpr std::array<std::pair<std::string_view, Family>, 11> kFamilies{{
    {"LlamaForCausalLM", Family::kLlama},
    {"MistralForCausalLM", Family::kMistral},
    {"Qwen2ForCausalLM", Family::kQwen2},
    {"Qwen3ForCausalLM", Family::kQwen3},
    {"Phi3ForCausalLM", Family::kPhi3},
    {"GemmaForCausalLM", Family::kGemma},
    {"Gemma2ForCausalLM", Family::kGemma2},
    {"Gemma3ForCausalLM", Family::kGemma3},
    {"Qwen3MoeForCausalLM", Family::kQwen3Moe},
    {"DeepseekV2ForCausalLM", Family::kDeepseekV2},
    {"DeepseekV3ForCausalLM", Family::kDeepseekV2},
}};

}  // namespace detail

/// The family of a model that its config.json calls `architecture`. Throws Errc::kUnsupported, listing the known ones.
[[nodiscard]] inline Family family_of(std::string_view architecture) {
  std::string known;
  for (const auto& [name, family] : detail::kFamilies) {
    if (name == architecture) return family;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  SINQ_THROW(Errc::kUnsupported,
             sinq::detail::text("fold: architecture ", architecture, " is not one of ", known, ": not supported"));
}

/// What folding must know of a model, in the terms of its config.json.
struct Architecture {
  Family family = Family::kLlama;
  Index layers = 0;
  Index vocab = 0;
  Index hidden = 0;
  Index intermediate = 0;  ///< of the dense MLPs
  Index heads = 0;
  Index kv_heads = 0;
  Index head_dim = 0;      ///< not with latent attention
  bool tied_head = false;  ///< the head is the embedding table

  Index experts = 0;                  ///< 0: all layers are dense
  Index expert_intermediate = 0;      ///< of one expert
  Index shared_experts = 0;           ///< of expert_intermediate each, stored as one
  std::vector<Index> dense_layers{};  ///< beside layers with experts

  Index query_rank = 0;      ///< latent attention: of the queries; 0: a plain q_proj
  Index key_value_rank = 0;  ///< of keys and values
  Index nope_dim = 0;        ///< a head's channels without rotation
  Index rope_dim = 0;        ///< and with
  Index value_dim = 0;       ///< of a head's values

  [[nodiscard]] bool is_dense(Index layer) const noexcept {
    return experts == 0 || std::find(dense_layers.begin(), dense_layers.end(), layer) != dense_layers.end();
  }
};

}  // namespace sinq::inline SINQ_ABI::fold
