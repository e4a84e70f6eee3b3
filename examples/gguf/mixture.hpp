#pragma once

#include "gguf/content.hpp"
#include "gguf/convert_options.hpp"
#include "gguf/importances.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// What one tensor of a mixture gets.
struct MixedTensor {
  std::string name;
  Index weights = 0;
  double alpha = 0.0;  ///< sensitivity: what a relative squared error of 1 would cost
  GgufType type{};
  double bits_per_weight = 0.0;
  double error = 0.0;  ///< relative squared error of the type, measured on the tensor
  bool is_fixed = false;

  /// What its error is expected to cost.
  [[nodiscard]] double loss() const { return alpha * error; }
};

/// A type for each tensor that is quantized.
struct Mixture {
  std::vector<MixedTensor> tensors;  ///< in the order of the file
  double bits_per_weight = 0.0;      ///< of these
  std::uint64_t bytes = 0;           ///< of all files
  double loss = 0.0;
  std::filesystem::path sensitivity;                      ///< empty: defaults
  std::string budget;                                     ///< "at most 4.500 bits per weight", as a user should read it
  const LlamaMixture* nearest = &kLlamaMixtures.front();  ///< llama.cpp's that is asked for, or that is nearest in size

  /// KL to the unquantized model in nats per token; unknown where sensitivities are defaults.
  [[nodiscard]] std::optional<double> predicted_kl() const;
};

/// Chooses the types of the tensors that are free, with `sinq::allocate`, so that the sum over all quantized tensors of
/// alpha * error is least within `options.mixture`'s budget, and gives them to `content`. Errors of all types are
/// measured on samples of each tensor. Before, `content` has found its factors and `importances` are measured.
/// `metadata`: of the file. Throws kBadConfig for a budget that is too small, naming the least possible one; as
/// `llm::read_sensitivities`, and kBadFile if the file lacks a tensor or names one that the model has not; as
/// `type_errors`.
[[nodiscard]] Mixture choose_mixture(const ConvertOptions& options, const sinq::io::GgufMetadata& metadata,
                                     const Importances& importances, Content& content);

/// A line per tensor: name, alpha, type, bits, share of the expected loss.
[[nodiscard]] std::string table_of(const Mixture& mixture);
/// Sentences: what the budget is, and what was made of it.
[[nodiscard]] std::vector<std::string> summary_of(const Mixture& mixture);

/// The name that sensitivities know a tensor of a GGUF file by: Hugging Face's, of architectures that are not known one
/// with the same last part, "v.blk.3.gate_proj.weight" for "v.blk.3.ffn_gate_exps.weight".
[[nodiscard]] std::string sensitivity_name(const std::string& tensor);

}  // namespace gguf
