#pragma once

#include <sinq/io/gguf_model.hpp>

#include "llm/gguf_names.hpp"
#include "llm/model_config.hpp"
#include "llm/tensor_source.hpp"
#include "llm/tokenizer.hpp"

#include <filesystem>
#include <map>
#include <string>

namespace llm {

/// The tensors of a GGUF file, or of all its shards, mapped; blocks are decoded when they are read.
class GgufSource final : public TensorSource {
 public:
  /// Throws what sinq::io::GgufModel::open throws, and as `config_from_gguf`.
  explicit GgufSource(const std::filesystem::path& path);

  [[nodiscard]] const ModelConfig& config() const noexcept { return config_; }

  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) const override;
  [[nodiscard]] sinq::MatrixView matrix(const std::string& name, Index rows, Index cols) const override;
  [[nodiscard]] std::optional<sinq::QuantizedView> quantized(const std::string& name) const override;
  [[nodiscard]] double stored_bits(const std::string& name) const override;
  [[nodiscard]] std::vector<std::string> others(const std::set<std::string>& known) const override;
  [[nodiscard]] std::string stored_type(const std::string& name) const override;
  [[nodiscard]] bool is_quantized() const override { return is_quantized_; }
  [[nodiscard]] bool is_converted() const override { return true; }

 private:
  [[nodiscard]] std::vector<float> floats(const std::string& gguf_tensor, Index size) const;
  [[nodiscard]] const sinq::io::GgufModel::Tensor& of_shape(const std::string& gguf_tensor,
                                                            const std::vector<Index>& expected) const;

  sinq::io::GgufModel model_;
  ModelConfig config_;
  bool is_quantized_ = false;                    ///< some matrix of a block is in few bits
  std::map<std::string, ReorderedHeads> heads_;  ///< queries and keys of "llama", by Hugging Face's name
};

/// Whether `path` is to be read as a GGUF file: folders are something else.
[[nodiscard]] inline bool is_gguf(const std::filesystem::path& path) { return std::filesystem::is_regular_file(path); }

/// The tokenizer of a GGUF file. Throws as `tokenizer_from_gguf`.
[[nodiscard]] Tokenizer gguf_tokenizer(const std::filesystem::path& path);

}  // namespace llm
