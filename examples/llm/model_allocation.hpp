#pragma once

#include <sinq/presets.hpp>

#include "llm/default_sensitivity.hpp"
#include "llm/json_file.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llm {

/// What a model may spend, and on what.
struct AllocationOptions {
  double max_bits_per_weight = 0.0;     ///< all stored bits, over all matrices together
  std::filesystem::path sensitivity{};  ///< what `sinq-lm sensitivity` wrote; empty: `default_sensitivities`
  std::vector<std::string> fixed{};     ///< "PATTERN=RECIPE": matrices that get this one; the last match counts
};

/// What one matrix gets.
struct AllocatedMatrix {
  NamedMatrix matrix;
  double alpha = 0.0;
  sinq::presets::Recipe recipe;
  double bits_per_weight = 0.0;
  bool is_fixed = false;

  /// What its error is expected to cost.
  [[nodiscard]] double loss() const { return alpha * recipe.error; }
};

/// A recipe for each matrix of a model.
struct ModelAllocation {
  double max_bits_per_weight = 0.0;
  std::filesystem::path sensitivity;      ///< empty: defaults
  std::vector<AllocatedMatrix> matrices;  ///< in the order in which they were asked for
  double bits_per_weight = 0.0;
  double loss = 0.0;  ///< sum of the matrices'

  [[nodiscard]] const AllocatedMatrix& of(const std::string& name) const;
  /// KL to the unquantized model in nats per token, without calibration; unknown where sensitivities are defaults.
  [[nodiscard]] std::optional<double> predicted_kl() const;
};

/// Chooses from `sinq::presets::recipes()` with `sinq::allocate`. Experts of a layer get one recipe. `model_files` says
/// what the model is (`model_identity`); it is asked if there is a file of sensitivities.
/// Throws kBadConfig, for a budget that is too small, or a fixed recipe that is not known or fits no name; as
/// `read_sensitivities`, and kBadFile if the file was measured on another model, or lacks one of the matrices.
[[nodiscard]] ModelAllocation allocate_model(const AllocationOptions& options, std::span<const NamedMatrix> matrices,
                                             const std::function<Json()>& model_files);

/// A line per matrix: name, alpha, recipe, bits, share of the expected loss.
[[nodiscard]] std::string table_of(const ModelAllocation& allocation);
/// "a recipe for each matrix by the sensitivities of FILE: 3.548 of at most 3.550 bits per weight, predicted KL
/// 0.0541".
[[nodiscard]] std::string summary_of(const ModelAllocation& allocation);

/// {"max_bits_per_weight", "sensitivity", "bits_per_weight", "predicted_kl", "matrices"}.
[[nodiscard]] Json to_json(const ModelAllocation& allocation);

}  // namespace llm
