#pragma once

#include <sinq/io/checkpoint.hpp>

#include "llm/decoded_matrix.hpp"
#include "llm/tensor_source.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>

namespace llm {

/// The tensors of a Hugging Face folder, mapped; quantized ones are in sinq's own format, or were brought into it.
class CheckpointSource final : public TensorSource {
 public:
  /// Throws what sinq::io::Checkpoint::open and its `quantized` throw.
  explicit CheckpointSource(const std::filesystem::path& folder);
  /// The tensors of `files`, and `converted` by the names of the tensors that they stand for; `parts` are the names of
  /// those of `files` that they were made from.
  CheckpointSource(sinq::io::Checkpoint files, std::map<std::string, sinq::QuantizedMatrix, std::less<>> converted,
                   std::set<std::string> parts);

  [[nodiscard]] std::vector<float> vector(const std::string& name, Index size) const override;
  [[nodiscard]] sinq::MatrixView matrix(const std::string& name, Index rows, Index cols) const override;
  [[nodiscard]] std::optional<sinq::QuantizedView> quantized(const std::string& name) const override;
  [[nodiscard]] double stored_bits(const std::string& name) const override;
  [[nodiscard]] std::vector<std::string> others(const std::set<std::string>& known) const override;
  [[nodiscard]] std::string stored_type(const std::string& name) const override;
  [[nodiscard]] bool is_quantized() const override { return !quantized_.empty(); }
  [[nodiscard]] bool is_converted() const override { return is_quantized(); }

 private:
  sinq::io::Checkpoint files_;
  std::map<std::string, sinq::QuantizedMatrix, std::less<>> converted_;
  std::map<std::string, DecodedMatrix, std::less<>> quantized_;  ///< views of them point here
  std::set<std::string> parts_;                                  ///< tensors that quantized ones are made of
};

}  // namespace llm
