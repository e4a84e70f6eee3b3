#pragma once

#include "llm/decoded_matrix.hpp"
#include "llm/linear.hpp"
#include "llm/opened_model.hpp"
#include "llm/packed_weight.hpp"

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace llm {

// What tensors are called that are not those of linear layers; those of blocks stand behind `block_name`.
inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kFinalNormName = "model.norm.weight";
inline constexpr const char* kHeadName = "lm_head.weight";
inline constexpr const char* kAttentionNormName = "input_layernorm.weight";
inline constexpr const char* kMlpNormName = "post_attention_layernorm.weight";
inline constexpr const char* kQueryNormName = "self_attn.q_norm.weight";
inline constexpr const char* kKeyNormName = "self_attn.k_norm.weight";

/// "model.layers.3."
[[nodiscard]] std::string block_name(Index layer);

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

/// What a linear layer's matrix must look like.
struct LinearShape {
  Index rows, cols;
  bool bias;
};
/// Of entry `linear` of kBlockLinears under `config`.
[[nodiscard]] LinearShape linear_shape(const ModelConfig& config, std::size_t linear);

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
  std::filesystem::path path;  ///< that it was opened from
  std::shared_ptr<const TensorSource> tensors;
  sinq::MatrixView embedding;  ///< [vocab, hidden], read row by row where it lies
  std::shared_ptr<const OwnDecodedMatrix>
      own_embedding;  ///< what `embedding` points to if it does not lie in `tensors`
  std::vector<Block> blocks;
  std::vector<float> final_norm;
  Linear head;

  /// Opens a model and checks that all it needs is there, and nothing else. Weights are touched when they are first
  /// used: floats of any type become float32, codes meet what `activations` says.
  /// Throws as `open_model`, kBadFile for tensors that are missing or of another shape, kUnsupported for one that the
  /// engine would leave out. Numbers that are not finite are kBadData, here or when they are first used.
  [[nodiscard]] static Model open(const std::filesystem::path& path, sinq::Precision activations);
  /// The same with activations as floats.
  [[nodiscard]] static Model open(const std::filesystem::path& path);

  /// Does now, on `threads` threads (0: all), what the first use of each weight would do.
  void prepare(int threads) const;

  /// Throws kBadData, naming row and column, if an embedding is not finite, whether or not its token comes.
  void require_finite_embeddings() const;

  /// Writes the embedding of `token` [hidden] to `out`. Throws kBadData if it is not in the vocabulary, or not finite.
  void embed(Token token, float* out) const;

  /// All linear layers of the blocks: those that are quantized.
  [[nodiscard]] std::vector<LinearId> linears() const;
  [[nodiscard]] const Linear& linear(LinearId id) const;
  [[nodiscard]] Linear& linear(LinearId id);
  /// The weights of a linear layer as they are stored.
  [[nodiscard]] sinq::MatrixView stored_weight(LinearId id) const;
  /// Names of the matrices that stand outside of the blocks: the embedding table, and a head of its own.
  [[nodiscard]] std::vector<std::string> tables() const;
  /// One of them as it is stored, [vocab, hidden].
  [[nodiscard]] sinq::MatrixView stored_table(const std::string& name) const;
  /// Makes `matrix` take the place of the table `name`; a tied head is the embedding table.
  void replace_table(const std::string& name, sinq::QuantizedMatrix matrix, sinq::Precision activations);
  /// Bits of one weight of the blocks' matrices, and of tables that are stored as codes (a mean, should they differ).
  [[nodiscard]] double stored_bits_per_weight() const;
};

}  // namespace llm
