#pragma once

#include <sinq/types.hpp>

#include "llm/json_file.hpp"
#include "llm/tokenizer.hpp"

#include <filesystem>
#include <optional>
#include <vector>

namespace llm {

using sinq::Index;

/// The shape of a decoder, from Hugging Face's config.json: what differs between Qwen3 and Llama is data here.
struct ModelConfig {
  Index vocab_size = 0;
  Index hidden_size = 0;
  Index intermediate_size = 0;
  Index layers = 0;
  Index heads = 0;
  Index kv_heads = 0;  ///< divides `heads`: each is shared by heads / kv_heads query heads
  Index head_dim = 0;
  Index max_positions = 0;
  double rms_norm_eps = 0;
  double rope_theta = 0;
  std::vector<float> rope_factors;   ///< [head_dim / 2], what frequencies are divided by (Llama 3); empty: all 1
  bool query_key_norm = false;       ///< RMSNorm per head on queries and keys (Qwen3)
  bool attention_bias = false;       ///< biases of q, k, v and o
  bool mlp_bias = false;             ///< biases of gate, up and down
  bool tied_head = false;            ///< the head is the embedding table
  std::optional<Token> begin_token;  ///< what texts begin with, if anything
  std::vector<Token> end_tokens;

  /// Reads `folder`/config.json. Throws kUnsupported, naming what this engine does not know, or kBadFile.
  [[nodiscard]] static ModelConfig open(const std::filesystem::path& folder);
  [[nodiscard]] static ModelConfig from_json(const Json& description);
};

}  // namespace llm
