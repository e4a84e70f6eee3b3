#pragma once

#include <sinq/io/gguf_model.hpp>

#include "gguf/content.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// A GGUF file of any architecture, encoded again: which tensors change is told from names and shapes, as llama.cpp's
/// llama-quantize does; all else, metadata included, stays as it is.
class GgufContent final : public Content {
 public:
  explicit GgufContent(const ConvertOptions& options);

  [[nodiscard]] std::vector<std::filesystem::path> inputs() const override;
  void find_factors() override;
  void with_matrix(std::size_t tensor, Index index, GgufType type, const Importances& importances,
                   const MatrixBody& body) const override;
  void write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
             const TensorEncoder::Sink& sink) const override;

 private:
  void choose_types();
  void plan_folding();
  /// What a tensor is multiplied with, or null.
  [[nodiscard]] const sinq::fold::Factors* factors_of(const std::string& tensor) const;
  void write_matrices(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                      const TensorEncoder::Sink& sink) const;

  ConvertOptions options_;
  sinq::io::GgufModel files_;
  std::optional<sinq::fold::Plan> plan_;
  std::map<std::string, std::string> plan_names_;  ///< what the plan calls the file's tensors
  sinq::fold::FactorMap factors_;
};

}  // namespace gguf
