#include "gguf/program.hpp"

#include <sinq/error.hpp>
#include <sinq/io/gguf.hpp>
#include <sinq/io/printable.hpp>
#include <sinq/version.hpp>

#include "common/checks.hpp"
#include "common/choice.hpp"
#include "common/command_line.hpp"
#include "common/output.hpp"
#include "fold/scale_flags.hpp"
#include "gguf/convert.hpp"
#include "llm/progress.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <ostream>
#include <utility>

namespace gguf {
namespace {

using sinq::io::GgufType;

/// The types that are written, by their names on the command line.
common::Names<GgufType> written_types() {
  common::Names<GgufType> out;
  for (const auto& row : sinq::io::detail::kGgufTypes) {
    if (is_readable(row.type) && row.type != GgufType::kF64) out.emplace(row.name, row.type);
  }
  return out;
}
const common::Names<GgufType> kTypes = written_types();
const common::Names<Importance> kImportances{
    {"none", Importance::kNone}, {"sinkhorn", Importance::kSinkhorn}, {"activations", Importance::kActivations}};

common::Names<Fallback> fallbacks() {
  common::Names<Fallback> out{{"none", {.is_allowed = false}}};
  for (const auto& [name, type] : kTypes) out.emplace(name, Fallback{.type = type});
  return out;
}
const common::Names<Fallback> kFallbacks = fallbacks();

/// What --type takes: a type of all matrices, or llama.cpp's name of a mixture.
struct TypeChoice {
  std::optional<GgufType> type{};
  const LlamaMixture* mixture = nullptr;
};
common::Names<TypeChoice> type_choices() {
  common::Names<TypeChoice> out;
  for (const auto& [name, type] : kTypes) out[name] = {.type = type, .mixture = llama_mixture(name)};
  for (const LlamaMixture& mixture : kLlamaMixtures) out[std::string(mixture.name)].mixture = &mixture;
  return out;
}
const common::Names<TypeChoice> kTypeChoices = type_choices();
constexpr const char* kUsualMixture = "q4_k_m";

struct Options {
  ConvertOptions convert;
  std::optional<TypeChoice> type;
  bool is_pure = false;
  MixtureOptions mixture;
  double max_bytes = 0.0;
  std::vector<std::string> type_of;
  std::filesystem::path output;
  common::Existing existing = common::Existing::kRefused;
  bool fold = false;
  sinq::fold::ScaleOptions scales;
  bool dry_run = false;
};

/// As `--split` has them: powers of 1000, and with an i of 1024.
std::map<std::string, double> byte_units() {
  std::map<std::string, double> out{{"b", 1.0}};
  double thousands = 1.0, kibis = 1.0;
  for (const char* unit : {"k", "m", "g", "t"}) {
    thousands *= 1000.0;
    kibis *= 1024.0;
    out[unit] = out[std::string(unit) + "b"] = thousands;
    out[std::string(unit) + "ib"] = kibis;
  }
  return out;
}

void add_options(CLI::App& app, Options& options) {
  ConvertOptions& convert = options.convert;
  app.add_option("MODEL", convert.model,
                 "Hugging Face folder, Qwen3 or Llama; or a GGUF file of any architecture, or one of its shards")
      ->required();
  app.add_option("-o,--output", options.output, "the file to write; required, unless --dry-run writes nothing")
      ->option_text("FILE");
  common::add_force_flag(app, options.existing);
  auto* type = common::add_choice(app, "--type", options.type, kTypeChoices,
                                  "of matrices; a name of llama.cpp's mixtures: as many bytes as that has, a type for "
                                  "each tensor by measurement (default q4_k_m)");
  app.add_flag("--pure", options.is_pure, "all matrices have the --type, e.g. q4_k")->needs(type);
  auto* max_bits = app.add_option("--max-bits-per-weight", options.mixture.max_bits_per_weight,
                                  "a type for each tensor by measurement, so many bits on average")
                       ->check(common::kPositive)
                       ->excludes(type);
  app.add_option("--max-size", options.max_bytes, "the same, all files together so many bytes, e.g. 4.2GiB")
      ->transform(CLI::AsNumberWithUnit(byte_units(), CLI::AsNumberWithUnit::CASE_INSENSITIVE))
      ->check(common::kPositive)
      ->option_text("SIZE")
      ->excludes(type)
      ->excludes(max_bits);
  app.add_option("--sensitivity", options.mixture.sensitivity,
                 "how much each tensor matters, from sinq-lm sensitivity (default: by kind and depth)")
      ->option_text("FILE");
  app.add_option("--type-of", options.type_of, "PATTERN=TYPE: of tensors that are called so, e.g. '*attn_v*=q6_k'")
      ->option_text("PATTERN=TYPE");
  common::add_choice(app, "--embeddings", convert.embeddings, kTypes,
                     "type of embeddings and head (default: by measurement; else f16, or f32, bf16 with --type)");
  common::add_choice(app, "--fallback", convert.fallback, kFallbacks,
                     "type of matrices whose rows are no whole blocks (default: as llama.cpp; none: an error)");
  app.add_flag("--requantize", convert.requantize, "of GGUF files: encode blocks a second time, which loses");
  app.add_option("--split", convert.max_shard_bytes, "several files, each of so much of tensors at most, e.g. 4GB")
      ->transform(CLI::AsSizeValue(true))
      ->option_text("SIZE");
  app.add_option("--name", convert.name, "of the model (default: the folder's, or what the GGUF file says)");
  auto* importance = common::add_choice(app, "--importance", convert.importance, kImportances,
                                        "what columns weigh when blocks are fitted (default none)");
  app.add_option("--imatrix", convert.imatrix, "the same, as llama.cpp's llama-imatrix measured it")
      ->option_text("FILE")
      ->excludes(importance);
  auto* text = app.add_option("--calibrate", convert.calibration, "text for --importance activations");
  app.add_option("--calibrate-blocks", convert.calibration_blocks, "of 512 tokens, read at most; 0: all")
      ->check(common::kNotNegative)
      ->capture_default_str()
      ->needs(text);
  auto* fold = app.add_flag("--fold", options.fold, "fold column scales into what produces the inputs, then quantize");
  fold_program::add_scale_flags(app, "--fold-", options.scales, fold);
  app.add_option("--threads", convert.threads, "0: as many as the machine has")->check(CLI::Range(0, 1024));
  app.add_flag("--dry-run", options.dry_run, "say what would be written, tensor by tensor if types are chosen");
}

/// Tensors and bytes of each type, and what else there is to know.
void describe(const Conversion& conversion, bool is_dry, std::ostream& out) {
  std::map<GgufType, std::pair<int, std::uint64_t>> types;
  std::pair<int, std::uint64_t> all;
  for (const auto& plan : conversion.plans()) {
    for (const auto& tensor : plan.tensors) {
      auto& [count, bytes] = types[tensor.type];
      ++count;
      bytes += tensor.end - tensor.begin;
    }
    all.first += static_cast<int>(plan.tensors.size());
    all.second += plan.file_bytes;
  }
  const auto line = [&](const std::string& what, const std::pair<int, std::uint64_t>& sum) {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "%-8s %6d tensors %14llu bytes\n", what.c_str(), sum.first,
                  static_cast<unsigned long long>(sum.second));
    out << text.data();
  };
  for (const auto& [type, sum] : types) line(std::string(name(type)), sum);
  const auto files = conversion.plans().size();
  if (is_dry && conversion.mixture() != nullptr) out << table_of(*conversion.mixture());
  line(files == 1 ? "file" : std::to_string(files) + " files", all);
  for (const std::string& note : conversion.notes()) out << sinq::io::printable(note) << "\n";
}

TypeOverride type_override(const std::string& text) {
  const auto refuse = [&](const std::string& what) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--type-of '" + text + "'" + what);
  };
  const auto equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) refuse(" is not PATTERN=TYPE");
  const auto type = kTypes.find(text.substr(equals + 1));
  if (type == kTypes.end()) refuse(": the type is none of " + common::joined(common::keys_of(kTypes)));
  return {text.substr(0, equals), type->second};
}

/// What --type and what stands in its place come to.
void choose_types(Options& options) {
  for (const std::string& text : options.type_of) options.convert.type_of.push_back(type_override(text));
  constexpr double kMostBytes = 0x1p63;
  if (options.max_bytes > 0.0) {
    options.mixture.max_bytes = static_cast<std::uint64_t>(std::min(options.max_bytes, kMostBytes));
  }
  if (!options.type && options.max_bytes <= 0.0 && options.mixture.max_bits_per_weight <= 0.0) {
    options.type = kTypeChoices.at(kUsualMixture);
  }
  const bool is_plain = options.type && (options.is_pure || options.type->mixture == nullptr);
  if (is_plain && !options.type->type) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--pure: " + std::string(options.type->mixture->name) +
                                                  " is a mixture of types, not one that all matrices could have");
  }
  if (is_plain && !options.mixture.sensitivity.empty()) {
    throw sinq::Error(sinq::Errc::kBadConfig,
                      "--sensitivity is of no use: all matrices are " + std::string(name(*options.type->type)));
  }
  if (is_plain) {
    options.convert.type = *options.type->type;
  } else {
    if (options.type) options.mixture.like = options.type->mixture;
    options.convert.mixture = options.mixture;
  }
}

/// Refuses flags that contradict each other or change nothing.
void check_flags(const Options& options) {
  const ConvertOptions& convert = options.convert;
  const auto refuse = [](const std::string& what) { throw sinq::Error(sinq::Errc::kBadConfig, what); };
  if (options.output.empty() && !options.dry_run) refuse("--output is required, unless --dry-run writes nothing");
  const bool calibrated = convert.importance == Importance::kActivations;
  if (calibrated && convert.calibration.empty()) refuse("--importance activations needs a text: --calibrate");
  if (!calibrated && !convert.calibration.empty()) refuse("--calibrate is of use with --importance activations only");
  const std::string type(name(convert.type));
  const bool has_blocks = convert.mixture || !convert.type_of.empty() || block_size(convert.type) > 1 ||
                          block_size(convert.table_type()) > 1;
  if (convert.importance != Importance::kNone && !has_blocks) {
    refuse(std::string(convert.imatrix.empty() ? "--importance" : "--imatrix") + " is of no use: --type " + type +
           " has no blocks that are fitted");
  }
  if ((convert.fallback.type || !convert.fallback.is_allowed) && !has_blocks) {
    refuse("--fallback is of no use: rows of " + type + " are always whole blocks");
  }
  if ((convert.fallback.type || !convert.fallback.is_allowed) && convert.mixture && convert.type_of.empty() &&
      !convert.embeddings) {
    refuse("--fallback is of no use: types are chosen from those that hold the rows");
  }
  if (convert.requantize && std::filesystem::is_directory(convert.model))
    refuse("--requantize is of use with GGUF files only");
  if (convert.max_shard_bytes == 0) refuse("--split 0: a file of no bytes holds no tensor");
  if (options.fold) options.scales.validate();
}

/// What can be wrong with a file that is to be written; a dry run does not mind whether it could be.
void check_output(const Options& options, const std::filesystem::path& file, const common::Paths& inputs) {
  if (!options.dry_run) {
    static_cast<void>(common::OutputFile(file, options.existing, inputs));
  } else if (!options.output.empty()) {
    common::require_new(file, options.existing, inputs);
  }
}

void run(Options& options, std::ostream& out) {
  ConvertOptions& convert = options.convert;
  if (!convert.imatrix.empty()) convert.importance = Importance::kImatrix;
  choose_types(options);
  check_flags(options);
  if (options.fold) convert.fold = options.scales;
  // What can be seen without opening the model is said at once.
  const bool is_whole = convert.max_shard_bytes == ConvertOptions{}.max_shard_bytes;
  if (is_whole)
    check_output(options, options.output,
                 {convert.model, convert.calibration, convert.imatrix, options.mixture.sensitivity});
  Conversion conversion(convert);
  for (const auto& file : conversion.outputs(options.output)) check_output(options, file, conversion.inputs());
  describe(conversion, options.dry_run, out);
  if (options.dry_run) return;
  long steps = 0;
  for (const auto& plan : conversion.plans()) steps += static_cast<long>(plan.tensors.size());
  llm::Progress progress("sinq-gguf", steps);
  conversion.write(options.output, [&] { progress.step(); });
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("A quantized GGUF file for llama.cpp from a Hugging Face folder or a GGUF file", "sinq-gguf");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  Options options;
  add_options(app, options);
  return common::run_command_line(app, arguments, out, err, [&] { run(options, out); });
}

}  // namespace gguf
