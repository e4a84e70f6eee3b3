#pragma once

#include <sinq/fold/declaration.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI::fold {
namespace detail {

/// Declares the tensors and edges of a model, layer by layer. Queries and keys with norms of their own are never a
/// producer (no factor passes a norm), and nothing passes the sum with the residual stream.
class Preset {
 public:
  Preset(const Architecture& model, Declaration& out) : m_(model), out_(out) {}

  void declare() {
    out_.tensor("model.embed_tokens.weight", {m_.vocab, m_.hidden});
    for (Index layer = 0; layer < m_.layers; ++layer) declare_layer(layer);
    out_.norm("model.norm", m_.hidden);
    if (m_.tied_head) {
      // The head is the embedding table, which feeds the residual stream too: a factor for the one would change the
      // other. Some files hold a copy of it.
      out_.tensor("lm_head.weight", {m_.vocab, m_.hidden}, Presence::kOptional);
    } else {
      out_.linear("lm_head", m_.vocab, m_.hidden);
      out_.norm_edge(EdgeKind::kHead, "model.norm", norm_kind(), m_.hidden, {{.tensor = "lm_head"}});
    }
  }

 private:
  [[nodiscard]] bool is(Family family) const noexcept { return m_.family == family; }
  [[nodiscard]] bool is_gemma() const noexcept {
    return is(Family::kGemma) || is(Family::kGemma2) || is(Family::kGemma3);
  }
  [[nodiscard]] NormKind norm_kind() const noexcept {
    return is_gemma() ? NormKind::kOnePlusWeight : NormKind::kWeight;
  }

  void declare_layer(Index layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    out_.buffer(attention + "rotary_emb.inv_freq");
    norm_before(prefix + "input_layernorm", is(Family::kDeepseekV2) ? latent_attention(attention)
                                            : is(Family::kPhi3)     ? fused_attention(attention)
                                                                    : plain_attention(attention));
    std::string mlp_norm = prefix + "post_attention_layernorm";
    if (is(Family::kGemma2) || is(Family::kGemma3)) {
      out_.norm(mlp_norm, m_.hidden);  // of attention's result, and the other of the MLP's: the residual stream is next
      out_.norm(prefix + "post_feedforward_layernorm", m_.hidden);
      mlp_norm = prefix + "pre_feedforward_layernorm";
    }
    norm_before(mlp_norm, !m_.is_dense(layer) ? experts(mlp)
                          : is(Family::kPhi3) ? fused_mlp(mlp)
                                              : plain_mlp(mlp, m_.intermediate));
  }

  void norm_before(const std::string& norm, std::vector<Consumer> readers) {
    out_.norm(norm, m_.hidden);
    out_.norm_edge(EdgeKind::kNorm, norm, norm_kind(), m_.hidden, std::move(readers));
  }

  /// The v -> o edge: o column (head, d) reads v row (head / (heads / kv_heads), d), whose first is `first_row`.
  void value_edge(const std::string& values, Index first_row, const std::string& output) {
    out_.row_edge(EdgeKind::kValueOutput, m_.kv_heads * m_.head_dim, {.tensor = values, .first = first_row},
                  {.tensor = output, .block = m_.head_dim, .repeat = m_.heads / m_.kv_heads});
  }

  std::vector<Consumer> plain_attention(const std::string& prefix) {
    const Index query = m_.heads * m_.head_dim, key = m_.kv_heads * m_.head_dim;
    out_.linear(prefix + "q_proj", query, m_.hidden);
    out_.linear(prefix + "k_proj", key, m_.hidden);
    out_.linear(prefix + "v_proj", key, m_.hidden);
    out_.linear(prefix + "o_proj", m_.hidden, query);
    if (is(Family::kQwen3) || is(Family::kQwen3Moe) || is(Family::kGemma3)) {
      out_.norm(prefix + "q_norm", m_.head_dim);
      out_.norm(prefix + "k_norm", m_.head_dim);
    }
    value_edge(prefix + "v_proj", 0, prefix + "o_proj");
    return {{.tensor = prefix + "q_proj"}, {.tensor = prefix + "k_proj"}, {.tensor = prefix + "v_proj"}};
  }

  std::vector<Consumer> fused_attention(const std::string& prefix) {
    const Index query = m_.heads * m_.head_dim, key = m_.kv_heads * m_.head_dim;
    out_.linear(prefix + "qkv_proj", query + 2 * key, m_.hidden);
    out_.linear(prefix + "o_proj", m_.hidden, query);
    value_edge(prefix + "qkv_proj", query + key, prefix + "o_proj");
    return {{.tensor = prefix + "qkv_proj"}};
  }

  /// Queries, keys and values come out of low-rank latents, each behind a norm of its own; the rotated part of the key
  /// is computed beside the latent and has no norm.
  std::vector<Consumer> latent_attention(const std::string& prefix) {
    const Index query = m_.heads * (m_.nope_dim + m_.rope_dim);
    std::vector<Consumer> readers;
    if (m_.query_rank == 0) {
      out_.linear(prefix + "q_proj", query, m_.hidden);
      readers.push_back({.tensor = prefix + "q_proj"});
    } else {
      out_.linear(prefix + "q_a_proj", m_.query_rank, m_.hidden);
      readers.push_back({.tensor = prefix + "q_a_proj"});
      latent(prefix + "q_a_layernorm", m_.query_rank, prefix + "q_b_proj", query);
    }
    out_.linear(prefix + "kv_a_proj_with_mqa", m_.key_value_rank + m_.rope_dim, m_.hidden);
    readers.push_back({.tensor = prefix + "kv_a_proj_with_mqa"});
    latent(prefix + "kv_a_layernorm", m_.key_value_rank, prefix + "kv_b_proj", m_.heads * (m_.nope_dim + m_.value_dim));
    out_.linear(prefix + "o_proj", m_.hidden, m_.heads * m_.value_dim);
    // Each head's rows of kv_b: first the key's, then the value's.
    out_.row_edge(EdgeKind::kValueOutput, m_.heads * m_.value_dim,
                  {.tensor = prefix + "kv_b_proj",
                   .first = m_.nope_dim,
                   .block = m_.value_dim,
                   .stride = m_.nope_dim + m_.value_dim},
                  {.tensor = prefix + "o_proj"});
    return readers;
  }

  void latent(const std::string& norm, Index rank, const std::string& linear, Index rows) {
    out_.norm(norm, rank);
    out_.linear(linear, rows, rank);
    out_.norm_edge(EdgeKind::kNorm, norm, NormKind::kWeight, rank, {{.tensor = linear}});
  }

  std::vector<Consumer> plain_mlp(const std::string& prefix, Index inner) {
    out_.linear(prefix + "gate_proj", inner, m_.hidden);
    out_.linear(prefix + "up_proj", inner, m_.hidden);
    out_.linear(prefix + "down_proj", m_.hidden, inner);
    out_.row_edge(EdgeKind::kUpDown, inner, {.tensor = prefix + "up_proj"}, {.tensor = prefix + "down_proj"});
    return {{.tensor = prefix + "gate_proj"}, {.tensor = prefix + "up_proj"}};
  }

  std::vector<Consumer> fused_mlp(const std::string& prefix) {
    out_.linear(prefix + "gate_up_proj", 2 * m_.intermediate, m_.hidden);
    out_.linear(prefix + "down_proj", m_.hidden, m_.intermediate);
    out_.row_edge(EdgeKind::kUpDown, m_.intermediate, {.tensor = prefix + "gate_up_proj", .first = m_.intermediate},
                  {.tensor = prefix + "down_proj"});
    return {{.tensor = prefix + "gate_up_proj"}};
  }

  std::vector<Consumer> experts(const std::string& prefix) {
    out_.linear(prefix + "gate", m_.experts, m_.hidden);
    out_.tensor(prefix + "gate.e_score_correction_bias", {m_.experts}, Presence::kOptional);
    std::vector<Consumer> readers{{.tensor = prefix + "gate", .say = Say::kNone}};
    const auto add = [&](const std::string& expert, Index inner) {
      for (Consumer& reader : plain_mlp(expert, inner)) readers.push_back(std::move(reader));
    };
    for (Index i = 0; i < m_.experts; ++i) {
      add(prefix + "experts." + std::to_string(i) + ".", m_.expert_intermediate);
    }
    if (m_.shared_experts > 0) add(prefix + "shared_experts.", m_.shared_experts * m_.expert_intermediate);
    return readers;
  }

  const Architecture& m_;
  Declaration& out_;
};

[[nodiscard]] constexpr std::string_view name_of(Family family) noexcept {
  for (const auto& [name, known] : kFamilies) {
    if (known == family) return name;
  }
  return "unknown";
}

/// Sizes that are numbers of 32 bits, and no more layers and experts than there are tensors: a config.json is not
/// trusted.
inline void require_sizes(const Architecture& m, Index tensors) {
  const auto require = [](const char* name, Index value, Index least, Index most) {
    if (value < least || value > most) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: ", name, " ", value, " is not in ", least, "..", most));
    }
  };
  constexpr Index kMost = std::numeric_limits<std::int32_t>::max();
  require("layers", m.layers, 1, tensors);
  require("experts", m.experts, 0, tensors);
  require("layers with experts, times experts", (m.layers - static_cast<Index>(m.dense_layers.size())) * m.experts, 0,
          tensors);
  require("vocab", m.vocab, 1, kMost);
  require("hidden", m.hidden, 1, kMost);
  require("intermediate", m.intermediate, 1, kMost);
  require("heads", m.heads, 1, kMost);
  require("shared_experts", m.shared_experts, 0, kMost);
  if (m.experts > 0) require("expert_intermediate", m.expert_intermediate, 1, kMost);
  if (m.family == Family::kDeepseekV2) {
    require("query_rank", m.query_rank, 0, kMost);
    require("key_value_rank", m.key_value_rank, 1, kMost);
    require("nope_dim", m.nope_dim, 0, kMost);
    require("rope_dim", m.rope_dim, 0, kMost);
    require("value_dim", m.value_dim, 1, kMost);
    return;
  }
  require("kv_heads", m.kv_heads, 1, m.heads);
  require("head_dim", m.head_dim, 1, kMost);
  if (m.heads % m.kv_heads != 0) {
    SINQ_THROW(Errc::kBadConfig,
               sinq::detail::text("fold: heads ", m.heads, " is not a multiple of kv_heads ", m.kv_heads));
  }
}

}  // namespace detail

/// All edges of a model of a known family. `tensors`: all that its files hold. Throws Errc::kUnsupported for a tensor
/// that the family does not have, because it might read what folding changes; Errc::kBadShape for one that is missing
/// or has another shape than the architecture means; Errc::kBadConfig for sizes that make no model.
[[nodiscard]] inline Plan make_plan(const Architecture& model, std::span<const TensorShape> tensors) {
  detail::require_sizes(model, static_cast<Index>(tensors.size()));
  detail::Declaration declaration(tensors);
  detail::Preset(model, declaration).declare();
  return make_plan(std::move(declaration).checked(detail::name_of(model.family)), tensors);
}

}  // namespace sinq::inline SINQ_ABI::fold
