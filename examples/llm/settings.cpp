#include "llm/settings.hpp"

#include "llm/with_config.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>

namespace llm {
namespace {

template <class Enum>
using Names = std::map<std::string, Enum>;

const Names<QuantizerName> kQuantizers{{"uniform", QuantizerName::kUniform}, {"symmetric", QuantizerName::kSymmetric},
                                       {"hqq", QuantizerName::kHqq},         {"fitted", QuantizerName::kFitted},
                                       {"learned", QuantizerName::kLearned}, {"nf4", QuantizerName::kNf4},
                                       {"nf3", QuantizerName::kNf3},         {"fp4", QuantizerName::kFp4},
                                       {"ternary", QuantizerName::kTernary}};
const Names<NormalizerName> kNormalizers{{"sinkhorn", NormalizerName::kSinkhorn}, {"none", NormalizerName::kNone}};
const Names<sinq::AuxFormat> kAuxFormats{{"f32", sinq::AuxFormat::kF32},
                                         {"f16", sinq::AuxFormat::kF16},
                                         {"u8", sinq::AuxFormat::kU8},
                                         {"u6", sinq::AuxFormat::kU6}};
const Names<sinq::Tiling> kTilings{{"columns", sinq::Tiling::kColumns}, {"square", sinq::Tiling::kSquare}};
const Names<sinq::ZeroPoint> kZeroPoints{{"real", sinq::ZeroPoint::kReal}, {"integer", sinq::ZeroPoint::kInteger}};
const Names<sinq::Precision> kPrecisions{
    {"float", sinq::Precision::kFloat}, {"int15", sinq::Precision::kInt15}, {"int8", sinq::Precision::kInt8}};

template <class Enum>
std::string name_of(const Names<Enum>& names, Enum value) {
  return std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.second == value; })->first;
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : "|") + name;
  return out;
}

/// An option whose values are names; `target` is an Enum or an optional one.
template <class Enum, class Target>
CLI::Option* add_choice(CLI::App& app, const std::string& flag, Target& target, const Names<Enum>& names,
                        const std::string& help) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : names) keys.push_back(name);
  return app
      .add_option_function<std::string>(
          flag, [&target, &names](const std::string& name) { target = names.at(name); }, help)
      ->check(CLI::IsMember(keys))
      ->option_text(join(keys));
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

void add_format_options(CLI::App& app, QuantizeSettings& settings) {
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
  add_choice(app, "--activations", settings.activations, kPrecisions,
             "what packed weights are multiplied with (default float)");
}

void add_quantize_options(CLI::App& app, QuantizeSettings& settings) {
  auto* quantizer = add_choice(app, "--quantizer", settings.quantizer, kQuantizers, "default uniform");
  auto* normalizer = add_choice(app, "--normalizer", settings.normalizer, kNormalizers, "default sinkhorn");
  std::vector<std::string> names{"fp32"};
  for (const Method& m : methods()) names.push_back(m.name);
  app.add_option_function<std::string>(
         "--method",
         [&settings](const std::string& name) {
           if (name == "fp32") {
             settings.weights = Weights::kAsStored;
           } else {
             settings.quantizer = method(name).quantizer;
             settings.normalizer = method(name).normalizer;
           }
         },
         "a common pair of quantizer and normalizer, or the model as it is")
      ->check(CLI::IsMember(names))
      ->option_text(join(names))
      ->excludes(quantizer)
      ->excludes(normalizer);
  app.add_option("--bits", settings.bits, "per code, 1..8 (default 4; codebooks have their own)");
  app.add_option("--group-size", settings.group_size, "columns sharing one scale")->capture_default_str();
  add_format_options(app, settings);
}

void validate(const QuantizeSettings& settings) {
  if (settings.weights == Weights::kQuantized)
    with_config(settings, [](const auto& config) { sinq::validate(config); });
}

Json to_json(const QuantizeSettings& settings) {
  if (settings.weights == Weights::kAsStored) return {{"method", "fp32"}};
  return with_config(settings, [&](const auto& config) {
    Json out{{"quantizer", name_of(kQuantizers, settings.quantizer)},
             {"normalizer", name_of(kNormalizers, settings.normalizer)},
             {"bits", config.quantizer.format().bits},
             {"group_size", config.group_size},
             {"tile_cols", config.tile_cols},
             {"tiling", name_of(kTilings, config.tiling)},
             {"aux", name_of(kAuxFormats, config.aux)},
             {"kurtosis_gate", config.kurtosis_gate},
             {"reference", settings.semantics == Semantics::kReference},
             {"activations", name_of(kPrecisions, settings.activations)}};
    if constexpr (requires { config.quantizer.zero_point; }) {
      out["zero_point"] = name_of(kZeroPoints, config.quantizer.zero_point);
    }
    if constexpr (requires { config.normalizer.iterations; }) out["iterations"] = config.normalizer.iterations;
    return out;
  });
}

}  // namespace llm
