#pragma once

#include <sinq/io/checkpoint.hpp>

#include "llm/decoded_matrix.hpp"
#include "llm/tensor_source.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace llm {

/// The tensors of a Hugging Face folder, mapped; quantized ones are in sinq's own format.
class CheckpointSource final : public TensorSource {
 public:
  /// Throws what sinq::io::Checkpoint::open and its `quantized` throw.
  explicit CheckpointSource(const std::filesystem::path& folder);

  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) const override;
  [[nodiscard]] sinq::MatrixView matrix(const std::string& name, Index rows, Index cols) const override;
  [[nodiscard]] std::optional<sinq::QuantizedView> quantized(const std::string& name) const override;
  [[nodiscard]] double stored_bits(const std::string& name) const override;
  [[nodiscard]] bool is_quantized() const override { return !quantized_.empty(); }

 private:
  sinq::io::Checkpoint files_;
  std::map<std::string, DecodedMatrix, std::less<>> quantized_;  ///< views of them point here
};

}  // namespace llm
