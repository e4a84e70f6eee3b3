#pragma once

#include <sinq/io/checkpoint.hpp>

#include "llm/tensor_source.hpp"

#include <filesystem>

namespace llm {

/// The tensors of a Hugging Face folder, mapped.
class CheckpointSource final : public TensorSource {
 public:
  /// Throws what sinq::io::Checkpoint::open throws.
  explicit CheckpointSource(const std::filesystem::path& folder) : files_(sinq::io::Checkpoint::open(folder)) {}

  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) const override;
  [[nodiscard]] sinq::MatrixView matrix(const std::string& name, Index rows, Index cols) const override;
  [[nodiscard]] std::optional<sinq::QuantizedView> quantized(const std::string& name) const override;
  [[nodiscard]] double stored_bits(const std::string& name) const override;
  [[nodiscard]] bool is_quantized() const override { return false; }

 private:
  sinq::io::Checkpoint files_;
};

}  // namespace llm
