#pragma once

#include <sinq/io/checkpoint.hpp>

#include "llm/linear.hpp"
#include "llm/model_config.hpp"

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace llm {

/// One decoder block.
struct Block {
  std::vector<float> attention_norm;  ///< [hidden]
  std::vector<float> query_norm;      ///< [head_dim], or empty
  std::vector<float> key_norm;        ///< [head_dim], or empty
  std::vector<float> mlp_norm;        ///< [hidden]
  Linear query, key, value, output, gate, up, down;
};

/// A linear layer of a block and what its tensors are called.
struct BlockLinear {
  const char* name;
  Linear Block::*member;
};
inline constexpr std::array<BlockLinear, 7> kBlockLinears{{{"self_attn.q_proj", &Block::query},
                                                           {"self_attn.k_proj", &Block::key},
                                                           {"self_attn.v_proj", &Block::value},
                                                           {"self_attn.o_proj", &Block::output},
                                                           {"mlp.gate_proj", &Block::gate},
                                                           {"mlp.up_proj", &Block::up},
                                                           {"mlp.down_proj", &Block::down}}};

/// One linear layer of a model: block `layer`, entry `linear` of kBlockLinears.
struct LinearId {
  Index layer = 0;
  std::size_t linear = 0;

  /// As in the files, without ".weight": "model.layers.3.mlp.up_proj".
  [[nodiscard]] std::string name() const;
};

/// A decoder ready to run. Copies share weights and files.
struct Model {
  ModelConfig config;
  std::shared_ptr<const sinq::io::Checkpoint> files;
  std::vector<Block> blocks;
  std::vector<float> final_norm;
  Linear head;

  /// Reads a Hugging Face folder with weights of any float type, each converted to float32.
  /// Throws kUnsupported for what the engine does not know, kBadFile for tensors that are missing or of another shape.
  [[nodiscard]] static Model open(const std::filesystem::path& folder);

  /// Writes the embedding of `token` [hidden] to `out`. Throws kBadData if it is not in the vocabulary.
  void embed(Token token, float* out) const;

  /// All linear layers of the blocks: those that are quantized.
  [[nodiscard]] std::vector<LinearId> linears() const;
  [[nodiscard]] const Linear& linear(LinearId id) const;
  [[nodiscard]] Linear& linear(LinearId id);
  /// The weights of a linear layer as they are in the file.
  [[nodiscard]] sinq::MatrixView stored_weight(LinearId id) const;
  /// Bits of one weight of the blocks' matrices, as the files have them (a mean, should the types differ).
  [[nodiscard]] double stored_bits_per_weight() const;
};

/// `view` [rows, cols] as float32 weights.
[[nodiscard]] PackedMatrix pack(const sinq::MatrixView& view);

}  // namespace llm
