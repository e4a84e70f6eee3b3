#pragma once

#include <sinq/io/checkpoint.hpp>

#include "gguf/content.hpp"
#include "llm/model_config.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// A Hugging Face folder (Qwen3 or Llama) as llama.cpp's converter turns it into a file.
class CheckpointContent final : public Content {
 public:
  explicit CheckpointContent(const ConvertOptions& options);

  [[nodiscard]] std::vector<std::filesystem::path> inputs() const override { return {options_.model}; }
  void find_factors() override;
  void with_matrix(std::size_t tensor, Index index, GgufType type, const Importances& importances,
                   const MatrixBody& body) const override;
  void write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
             const TensorEncoder::Sink& sink) const override;

 private:
  void refuse_what_files_cannot_say() const;
  void list_tensors();
  void check_tensors() const;
  [[nodiscard]] double weight_count() const;
  [[nodiscard]] bool is_reordered(const std::string& name) const;
  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) const;
  void write_matrix(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                    const TensorEncoder::Sink& sink) const;

  ConvertOptions options_;
  llm::ModelConfig config_;
  sinq::io::Checkpoint files_;
  bool is_llama_;
  std::vector<std::string> sources_;  ///< Hugging Face's names of the tensors; empty: factors of rotary frequencies
  std::optional<sinq::fold::Plan> plan_;
  sinq::fold::FactorMap factors_;
};

}  // namespace gguf
