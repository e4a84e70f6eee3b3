#pragma once

#include <sinq/any_config.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/presets.hpp>

#include "llm/json_file.hpp"
#include "llm/model_allocation.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}

namespace llm {

using sinq::Index;

enum class QuantizerName { kUniform, kSymmetric, kHqq, kFitted, kLearned, kTrellis, kNf4, kNf3, kFp4, kTernary };
enum class NormalizerName { kSinkhorn, kNone };
/// Whose semantics fill in what the flags leave open.
enum class Semantics {
  kLibrary,    ///< the defaults of sinq::Config<>
  kReference,  ///< sinq::reference_compatible
};

/// What a calibration text is used for.
enum class CalibrationMethod {
  kGptq,        ///< error feedback, and fits weighed by the activations
  kAwq,         ///< A-SINQ: scales by activations, folded into the column scales
  kAwqGptq,     ///< A-SINQ, then error feedback
  kImportance,  ///< fits weighed by the activations
};

/// Whose recipe a budget chooses.
enum class RecipeFor {
  kEachMatrix,  ///< one for each, by what it matters: `allocate_model`
  kAllMatrices  ///< the same for all: presets::accurate
};

/// Which weights run.
enum class Weights {
  kQuantized,        ///< the model's, quantized now
  kAsStored,         ///< the model's as they are
  kQuantizedBefore,  ///< the codes that are stored, of a model that was quantized earlier
};

/// What becomes of embeddings and heads.
enum class Embeddings { kKept, kQuantized };

/// How to quantize, as the command line says it. What is not given has the default of `sinq::Config<>`.
struct QuantizeSettings {
  Weights weights = Weights::kQuantized;
  std::string asked{};  ///< what on the command line asks for quantization now, e.g. "--bits"
  Embeddings embeddings = Embeddings::kKept;
  QuantizerName quantizer = QuantizerName::kUniform;
  NormalizerName normalizer = NormalizerName::kSinkhorn;
  std::optional<int> bits{};     ///< of quantizers that have a choice; codebooks have their own
  std::optional<double> rate{};  ///< of QuantizerName::kTrellis, instead of bits
  Index group_size = sinq::Config<>{}.group_size;
  Index tile_cols = sinq::Config<>{}.tile_cols;
  sinq::Tiling tiling = sinq::Config<>{}.tiling;
  std::optional<sinq::AuxFormat> aux{};
  std::optional<sinq::ZeroPoint> zero_point{};
  std::optional<float> kurtosis_gate{};
  std::optional<int> iterations{};
  Semantics semantics = Semantics::kLibrary;
  std::optional<double> max_bits_per_weight{};          ///< instead of all the above; see `within_budget`
  RecipeFor recipe_for = RecipeFor::kEachMatrix;        ///< of the budget
  std::filesystem::path sensitivity{};                  ///< what matrices matter; empty: by their kind and depth
  std::vector<std::string> fixed{};                     ///< "PATTERN=RECIPE": matrices whose recipe is not chosen
  std::shared_ptr<const ModelAllocation> allocation{};  ///< what the budget came to, a recipe for each matrix
  std::optional<sinq::AnyConfig> preset{};              ///< what the budget came to, the same recipe for all
  std::filesystem::path calibrate{};                    ///< text; empty: without calibration
  Index calibrate_blocks = 64;                          ///< of that text
  CalibrationMethod calibrate_with = CalibrationMethod::kGptq;
  sinq::Precision activations = sinq::Precision::kFloat;  ///< what they become before they meet the codes
};

/// A name for a common pair of quantizer and normalizer.
struct Method {
  std::string name;
  QuantizerName quantizer;
  NormalizerName normalizer;
  std::optional<int> only_bits;  ///< of codebooks
};
/// rtn, sinq, hqq, sinq-hqq, nf4, sinq-nf4 and so on.
[[nodiscard]] const std::vector<Method>& methods();
/// Throws kBadConfig, listing the known ones.
[[nodiscard]] const Method& method(const std::string& name);

/// --tile-cols --tiling --aux --zero-point --iterations --kurtosis-gate --reference --calibrate --calibrate-blocks
/// --calibrate-with --activations: what all programs share.
void add_format_options(CLI::App& app, QuantizeSettings& settings);
/// --sensitivity --fixed, for a budget that the program has read.
void add_allocation_options(CLI::App& app, QuantizeSettings& settings);
/// --include-embeddings
CLI::Option* add_embeddings_option(CLI::App& app, QuantizeSettings& settings);
/// --method --quantizer --normalizer --bits --rate --group-size --max-bits-per-weight --one-recipe and
/// those of the budget, and of the above those that say what is stored: a program that writes weights.
void add_weight_options(CLI::App& app, QuantizeSettings& settings);
/// All of them: a program that quantizes in one way and runs the result.
void add_quantize_options(CLI::App& app, QuantizeSettings& settings);

/// From names to types; not of settings with an allocation. Throws kBadConfig for flags that contradict each other.
[[nodiscard]] sinq::AnyConfig to_config(const QuantizeSettings& settings);
/// The same for one matrix: what the settings allocate to it, if they do.
[[nodiscard]] sinq::AnyConfig config_of(const QuantizeSettings& settings, const std::string& tensor);
/// The settings of a recipe that an allocation has chosen.
[[nodiscard]] QuantizeSettings with_recipe(QuantizeSettings settings, const sinq::presets::Recipe& recipe);

/// If the settings are a budget, what it comes to for these matrices: a recipe for each, or one for all; else as they
/// are. `model_files` as `allocate_model` wants it. Throws as that, and kBadConfig.
[[nodiscard]] QuantizeSettings within_budget(QuantizeSettings settings, std::span<const NamedMatrix> matrices,
                                             const std::function<Json()>& model_files);

/// Throws kBadConfig for values that make no configuration, before any work is done.
void validate(const QuantizeSettings& settings);

/// What is stored, the defaults included.
[[nodiscard]] Json weights_to_json(const QuantizeSettings& settings);
/// All settings, the defaults included.
[[nodiscard]] Json to_json(const QuantizeSettings& settings);

}  // namespace llm
