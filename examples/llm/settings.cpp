#include "llm/settings.hpp"

#include <sinq/presets.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>
#include <sinq/quantizers/ternary.hpp>

#include "common/checks.hpp"
#include "common/choice.hpp"
#include "common/command_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace llm {
namespace {

using common::add_choice;
using common::joined;
using common::Names;

const Names<QuantizerName> kQuantizers{{"uniform", QuantizerName::kUniform}, {"symmetric", QuantizerName::kSymmetric},
                                       {"hqq", QuantizerName::kHqq},         {"fitted", QuantizerName::kFitted},
                                       {"learned", QuantizerName::kLearned}, {"trellis", QuantizerName::kTrellis},
                                       {"nf4", QuantizerName::kNf4},         {"nf3", QuantizerName::kNf3},
                                       {"fp4", QuantizerName::kFp4},         {"ternary", QuantizerName::kTernary}};
const Names<NormalizerName> kNormalizers{{"sinkhorn", NormalizerName::kSinkhorn}, {"none", NormalizerName::kNone}};
const Names<sinq::AuxFormat> kAuxFormats{{"f32", sinq::AuxFormat::kF32},
                                         {"f16", sinq::AuxFormat::kF16},
                                         {"u8", sinq::AuxFormat::kU8},
                                         {"u6", sinq::AuxFormat::kU6}};
const Names<sinq::Tiling> kTilings{{"columns", sinq::Tiling::kColumns}, {"square", sinq::Tiling::kSquare}};
const Names<sinq::ZeroPoint> kZeroPoints{{"real", sinq::ZeroPoint::kReal}, {"integer", sinq::ZeroPoint::kInteger}};
const Names<CalibrationMethod> kCalibrationMethods{{"gptq", CalibrationMethod::kGptq},
                                                   {"asinq", CalibrationMethod::kAwq},
                                                   {"asinq-gptq", CalibrationMethod::kAwqGptq},
                                                   {"importance", CalibrationMethod::kImportance}};
const Names<sinq::Precision> kPrecisions{
    {"float", sinq::Precision::kFloat}, {"int15", sinq::Precision::kInt15}, {"int8", sinq::Precision::kInt8}};

template <class Enum>
std::string name_of(const Names<Enum>& names, Enum value) {
  return std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.second == value; })->first;
}

template <class Config>
sinq::AnyConfig filled(const QuantizeSettings& settings, Config config) {
  config.group_size = settings.group_size;
  config.tile_cols = settings.tile_cols;
  config.tiling = settings.tiling;
  if constexpr (requires { config.normalizer.iterations; }) {
    if (settings.iterations) config.normalizer.iterations = *settings.iterations;
  } else if (settings.iterations) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--iterations belongs to --normalizer sinkhorn");
  }
  if (settings.semantics == Semantics::kReference) config = sinq::reference_compatible(config);
  if (settings.aux) config.aux = *settings.aux;
  if (settings.kurtosis_gate) config.kurtosis_gate = *settings.kurtosis_gate;
  if (settings.zero_point && settings.quantizer != QuantizerName::kUniform) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--zero-point belongs to --quantizer uniform");
  }
  if (settings.rate && settings.quantizer != QuantizerName::kTrellis) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--rate belongs to --quantizer trellis");
  }
  if constexpr (requires { config.quantizer.zero_point; }) {
    if (settings.zero_point) config.quantizer.zero_point = *settings.zero_point;
  }
  return config;
}

template <class Quantizer>
sinq::AnyConfig with_quantizer(const QuantizeSettings& settings, const Quantizer& quantizer) {
  if (settings.normalizer == NormalizerName::kNone) {
    return filled(settings, sinq::Config<Quantizer, sinq::Identity>{.quantizer = quantizer});
  }
  return filled(settings, sinq::Config<Quantizer, sinq::Sinkhorn>{.quantizer = quantizer});
}

/// What presets return, as the command line calls it.
template <class Quantizer>
QuantizerName name_of(const Quantizer&) {
  return std::is_same_v<Quantizer, sinq::Trellis> ? QuantizerName::kTrellis : QuantizerName::kLearned;
}

/// `codebook`, if the bits asked for are its own.
const sinq::Codebook& of_bits(const QuantizeSettings& settings, const sinq::Codebook& codebook) {
  if (settings.bits && *settings.bits != codebook.bits()) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--bits " + std::to_string(*settings.bits) + ": this codebook has " +
                                                  std::to_string(codebook.bits()));
  }
  return codebook;
}

}  // namespace

const std::vector<Method>& methods() {
  static const std::vector<Method> all{
      {"rtn", QuantizerName::kUniform, NormalizerName::kNone, {}},
      {"sinq", QuantizerName::kUniform, NormalizerName::kSinkhorn, {}},
      {"hqq", QuantizerName::kHqq, NormalizerName::kNone, {}},
      {"sinq-hqq", QuantizerName::kHqq, NormalizerName::kSinkhorn, {}},
      {"fitted", QuantizerName::kFitted, NormalizerName::kNone, {}},
      {"sinq-fitted", QuantizerName::kFitted, NormalizerName::kSinkhorn, {}},
      {"learned", QuantizerName::kLearned, NormalizerName::kNone, {}},
      {"sinq-learned", QuantizerName::kLearned, NormalizerName::kSinkhorn, {}},
      {"trellis", QuantizerName::kTrellis, NormalizerName::kNone, {}},
      {"sinq-trellis", QuantizerName::kTrellis, NormalizerName::kSinkhorn, {}},
      {"symmetric", QuantizerName::kSymmetric, NormalizerName::kNone, {}},
      {"sinq-symmetric", QuantizerName::kSymmetric, NormalizerName::kSinkhorn, {}},
      {"nf4", QuantizerName::kNf4, NormalizerName::kNone, 4},
      {"sinq-nf4", QuantizerName::kNf4, NormalizerName::kSinkhorn, 4},
      {"nf3", QuantizerName::kNf3, NormalizerName::kNone, 3},
      {"sinq-nf3", QuantizerName::kNf3, NormalizerName::kSinkhorn, 3},
      {"fp4", QuantizerName::kFp4, NormalizerName::kNone, 4},
      {"sinq-fp4", QuantizerName::kFp4, NormalizerName::kSinkhorn, 4},
  };
  return all;
}

const Method& method(const std::string& name) {
  std::string known;
  for (const Method& m : methods()) {
    if (m.name == name) return m;
    known += (known.empty() ? "" : ", ") + m.name;
  }
  throw sinq::Error(sinq::Errc::kBadConfig, "method " + name + " is not one of " + known);
}

namespace {

void add_grid_options(CLI::App& app, QuantizeSettings& settings) {
  app.add_option("--tile-cols", settings.tile_cols, "columns balanced together; 0: group size")->capture_default_str();
  add_choice(app, "--tiling", settings.tiling, kTilings, "shape of the tiles (default columns)");
  add_choice(app, "--aux", settings.aux, kAuxFormats, "storage of scales and zero points (default f16)");
  add_choice(app, "--zero-point", settings.zero_point, kZeroPoints, "of --quantizer uniform (default real)");
  app.add_option("--iterations", settings.iterations, "passes of Sinkhorn at most (default 16)");
  app.add_option("--kurtosis-gate", settings.kurtosis_gate, "round matrices above this kurtosis plainly; 0: none");
  app.add_flag_callback(
      "--reference", [&settings] { settings.semantics = Semantics::kReference; },
      "semantics of the Python reference: integer zero points, kurtosis gate, absolute clamps, tile halving, codes "
      "before aux rounding, aux f32");
}

void add_run_options(CLI::App& app, QuantizeSettings& settings) {
  auto* text = app.add_option("--calibrate", settings.calibrate, "a text to quantize for")->check(CLI::ExistingFile);
  app.add_option("--calibrate-blocks", settings.calibrate_blocks, "of 512 tokens of that text; 0: all")
      ->check(common::kNotNegative)
      ->capture_default_str()
      ->needs(text);
  add_choice(app, "--calibrate-with", settings.calibrate_with, kCalibrationMethods,
             "what the text is used for (default gptq)")
      ->needs(text);
  add_choice(app, "--activations", settings.activations, kPrecisions,
             "what packed weights are multiplied with (default float)");
}

/// Refuses flags that say how to quantize what is not quantized, or how to balance what is not balanced.
void refuse_ineffective(const CLI::App& app, const QuantizeSettings& settings) {
  if (settings.weights == Weights::kAsStored) {
    common::refuse_flags(
        app,
        {"--bits", "--rate", "--group-size", "--tile-cols", "--tiling", "--aux", "--zero-point", "--iterations",
         "--kurtosis-gate", "--reference", "--calibrate", "--activations", "--include-embeddings"},
        "is of no use with --method fp32, which leaves the weights as they are");
  }
  // Learned levels are found tile by tile, whether tiles are balanced or not.
  if (settings.normalizer == NormalizerName::kNone && settings.quantizer != QuantizerName::kLearned) {
    common::refuse_flags(app, {"--tile-cols", "--tiling"}, "is of no use without a normalizer, nothing is balanced");
  }
}

/// What a calibration can do for these settings.
void validate_calibration(const QuantizeSettings& settings) {
  if (settings.calibrate.empty() || settings.max_bits_per_weight) return;
  const auto refuse = [&](const std::string& why) {
    throw sinq::Error(sinq::Errc::kBadConfig,
                      "--calibrate-with " + name_of(kCalibrationMethods, settings.calibrate_with) + why);
  };
  const bool weighs = settings.quantizer == QuantizerName::kFitted || settings.quantizer == QuantizerName::kLearned ||
                      settings.quantizer == QuantizerName::kTrellis;
  if (settings.calibrate_with == CalibrationMethod::kImportance && !weighs) {
    refuse(" is of no use: " + name_of(kQuantizers, settings.quantizer) +
           " weighs all columns alike; fitted, learned and trellis do not");
  }
  const bool scales =
      settings.calibrate_with == CalibrationMethod::kAwq || settings.calibrate_with == CalibrationMethod::kAwqGptq;
  if (scales && settings.normalizer == NormalizerName::kNone) {
    refuse(" changes column scales, and without a normalizer there are none");
  }
}

}  // namespace

void add_format_options(CLI::App& app, QuantizeSettings& settings) {
  add_grid_options(app, settings);
  add_run_options(app, settings);
}

void add_allocation_options(CLI::App& app, QuantizeSettings& settings) {
  app.add_option("--sensitivity", settings.sensitivity,
                 "what each matrix matters, written by sinq-lm sensitivity (default: by its kind and depth)")
      ->option_text("FILE")
      ->check(CLI::ExistingFile);
  app.add_option("--fixed", settings.fixed,
                 "the recipe of the matrices that match, as the table of --dry-run calls it, e.g. "
                 "'*.v_proj.weight=learned-5-g64'; their bits count; may be repeated, the last match counts")
      ->option_text("'PATTERN=RECIPE'")
      ->allow_extra_args(false);
}

CLI::Option* add_embeddings_option(CLI::App& app, QuantizeSettings& settings) {
  return app.add_flag_callback(
      "--include-embeddings",
      [&settings] {
        settings.embeddings = Embeddings::kQuantized;
        settings.asked = "--include-embeddings";
      },
      "quantize embeddings and heads, too");
}

void add_weight_options(CLI::App& app, QuantizeSettings& settings) {
  auto* quantizer = add_choice(app, "--quantizer", settings.quantizer, kQuantizers, "default uniform");
  auto* normalizer = add_choice(app, "--normalizer", settings.normalizer, kNormalizers, "default sinkhorn");
  std::vector<std::string> names{"fp32"};
  for (const Method& m : methods()) names.push_back(m.name);
  auto* method = app.add_option_function<std::string>(
                        "--method",
                        [&settings](const std::string& name) {
                          if (name == "fp32") {
                            settings.weights = Weights::kAsStored;
                          } else {
                            settings.weights = Weights::kQuantized;
                            settings.quantizer = llm::method(name).quantizer;
                            settings.normalizer = llm::method(name).normalizer;
                          }
                        },
                        "a common pair of quantizer and normalizer, or the model as it is")
                     ->check(CLI::IsMember(names))
                     ->option_text(joined(names))
                     ->excludes(quantizer)
                     ->excludes(normalizer);
  auto* bits = app.add_option("--bits", settings.bits, "per code, 1..8 (default 4; codebooks have their own)");
  auto* rate = app.add_option("--rate", settings.rate,
                              "bits per weight of --quantizer trellis, 1.5..4.5 in quarters (default 2.5)");
  auto* group_size =
      app.add_option("--group-size", settings.group_size, "columns sharing one scale")->capture_default_str();
  add_grid_options(app, settings);
  auto* budget = app.add_option("--max-bits-per-weight", settings.max_bits_per_weight,
                                "for each matrix the recipe with which all of them are most accurate within this many "
                                "stored bits");
  auto* one = app.add_flag_callback(
                     "--one-recipe", [&settings] { settings.recipe_for = RecipeFor::kAllMatrices; },
                     "the same recipe for all matrices: presets::accurate")
                  ->needs(budget);
  add_allocation_options(app, settings);
  for (const char* flag : {"--sensitivity", "--fixed"}) app.get_option(flag)->needs(budget)->excludes(one);
  for (auto* other :
       {quantizer, normalizer, method, bits, rate, group_size, app.get_option("--aux"), app.get_option("--tile-cols"),
        app.get_option("--tiling"), app.get_option("--zero-point"), app.get_option("--iterations"),
        app.get_option("--kurtosis-gate"), app.get_option("--reference")}) {
    budget->excludes(other);
  }
  app.parse_complete_callback([&app, &settings] { refuse_ineffective(app, settings); });
}

void add_quantize_options(CLI::App& app, QuantizeSettings& settings) {
  add_weight_options(app, settings);
  add_run_options(app, settings);
  app.parse_complete_callback([&app, &settings] {
    refuse_ineffective(app, settings);
    if (app.count("--method") != 0 && settings.weights == Weights::kQuantized) settings.asked = "--method";
    for (const char* flag :
         {"--quantizer", "--normalizer", "--bits", "--rate", "--group-size", "--max-bits-per-weight", "--one-recipe",
          "--sensitivity", "--fixed", "--aux", "--tile-cols", "--tiling", "--zero-point", "--iterations",
          "--kurtosis-gate", "--reference", "--calibrate", "--calibrate-blocks", "--calibrate-with"}) {
      if (app.count(flag) != 0) settings.asked = flag;
    }
  });
}

sinq::AnyConfig to_config(const QuantizeSettings& settings) {
  if (settings.preset) return *settings.preset;
  const int bits = settings.bits.value_or(sinq::Config<>{}.quantizer.bits);
  switch (settings.quantizer) {
    case QuantizerName::kSymmetric:
      return with_quantizer(settings, sinq::Uniform{.bits = bits, .symmetry = sinq::Symmetry::kSymmetric});
    case QuantizerName::kHqq:
      return with_quantizer(settings, sinq::Hqq{.bits = bits});
    case QuantizerName::kFitted:
      return with_quantizer(settings, sinq::Fitted{.bits = bits});
    case QuantizerName::kLearned:
      return with_quantizer(settings, sinq::LearnedCodebook(bits));
    case QuantizerName::kTrellis:
      if (settings.bits) {
        throw sinq::Error(sinq::Errc::kBadConfig, "--bits: --quantizer trellis has a --rate instead");
      }
      return with_quantizer(settings, sinq::Trellis{.rate = settings.rate.value_or(sinq::Trellis().rate)});
    case QuantizerName::kNf4:
      return with_quantizer(settings, of_bits(settings, sinq::codebooks::kNf4));
    case QuantizerName::kNf3:
      return with_quantizer(settings, of_bits(settings, sinq::codebooks::kNf3));
    case QuantizerName::kFp4:
      return with_quantizer(settings, of_bits(settings, sinq::codebooks::kFp4));
    case QuantizerName::kTernary:
      return with_quantizer(settings, of_bits(settings, sinq::codebooks::kTernary));
    case QuantizerName::kUniform:
      break;
  }
  return with_quantizer(settings, sinq::Uniform{.bits = bits});
}

sinq::AnyConfig config_of(const QuantizeSettings& settings, const std::string& tensor) {
  return settings.allocation ? settings.allocation->of(tensor).recipe.config : to_config(settings);
}

QuantizeSettings with_recipe(QuantizeSettings settings, const sinq::presets::Recipe& recipe) {
  settings.allocation = nullptr;
  settings.preset = recipe.config;
  settings.quantizer = std::visit([](const auto& config) { return name_of(config.quantizer); }, recipe.config);
  return settings;
}

QuantizeSettings within_budget(QuantizeSettings settings, std::span<const NamedMatrix> matrices,
                               const std::function<Json()>& model_files) {
  if (!settings.max_bits_per_weight) return settings;
  if (settings.recipe_for == RecipeFor::kEachMatrix) {
    settings.allocation =
        std::make_shared<const ModelAllocation>(allocate_model({.max_bits_per_weight = *settings.max_bits_per_weight,
                                                                .sensitivity = settings.sensitivity,
                                                                .fixed = settings.fixed},
                                                               matrices, model_files));
    return settings;
  }
  std::vector<sinq::presets::Shape> shapes;
  for (const NamedMatrix& matrix : matrices) shapes.push_back({matrix.rows, matrix.cols});
  return with_recipe(
      settings,
      {.name = {}, .config = sinq::presets::accurate({.max_bits_per_weight = *settings.max_bits_per_weight}, shapes)});
}

void validate(const QuantizeSettings& settings) {
  if (settings.weights != Weights::kQuantized || settings.allocation) return;  // recipes are valid
  sinq::validate(to_config(settings));
  validate_calibration(settings);
}

Json weights_to_json(const QuantizeSettings& settings) {
  if (settings.weights == Weights::kAsStored) return {{"method", "fp32"}};
  if (settings.weights == Weights::kQuantizedBefore) {
    return {{"method", "stored"}, {"activations", name_of(kPrecisions, settings.activations)}};
  }
  if (settings.allocation) return to_json(*settings.allocation);
  const auto from = [&](const auto& config) {
    Json out{{"quantizer", name_of(kQuantizers, settings.quantizer)},
             {"normalizer", name_of(kNormalizers, settings.normalizer)},
             {"group_size", config.group_size},
             {"tile_cols", config.tile_cols},
             {"tiling", name_of(kTilings, config.tiling)},
             {"aux", name_of(kAuxFormats, config.aux)},
             {"kurtosis_gate", config.kurtosis_gate},
             {"reference", settings.semantics == Semantics::kReference}};
    if constexpr (requires { config.quantizer.rate; }) {
      out["bits"] = config.quantizer.rate;
    } else {
      out["bits"] = config.quantizer.format().bits;
    }
    if constexpr (requires { config.quantizer.zero_point; }) {
      out["zero_point"] = name_of(kZeroPoints, config.quantizer.zero_point);
    }
    if constexpr (requires { config.normalizer.iterations; }) out["iterations"] = config.normalizer.iterations;
    if (settings.max_bits_per_weight) out["max_bits_per_weight"] = *settings.max_bits_per_weight;
    return out;
  };
  return std::visit(from, to_config(settings));
}

Json to_json(const QuantizeSettings& settings) {
  Json out = weights_to_json(settings);
  if (settings.weights == Weights::kAsStored) return out;
  out["activations"] = name_of(kPrecisions, settings.activations);
  if (settings.embeddings == Embeddings::kQuantized) out["include_embeddings"] = true;
  if (!settings.calibrate.empty()) {
    out["calibrate"] = settings.calibrate.string();
    out["calibrate_blocks"] = settings.calibrate_blocks;
    out["calibrate_with"] = name_of(kCalibrationMethods, settings.calibrate_with);
  }
  return out;
}

}  // namespace llm
