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

#include <array>
#include <cstdio>
#include <map>
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

struct Options {
  ConvertOptions convert;
  std::filesystem::path output;
  common::Existing existing = common::Existing::kRefused;
  bool fold = false;
  sinq::fold::ScaleOptions scales;
  bool dry_run = false;
};

void add_options(CLI::App& app, Options& options) {
  ConvertOptions& convert = options.convert;
  app.add_option("MODEL", convert.model,
                 "Hugging Face folder, Qwen3 or Llama; or a GGUF file of any architecture, or one of its shards")
      ->required();
  app.add_option("-o,--output", options.output, "the file to write; required, unless --dry-run writes nothing")
      ->option_text("FILE");
  common::add_force_flag(app, options.existing);
  common::add_choice(app, "--type", convert.type, kTypes, "of matrices; required")->required();
  common::add_choice(app, "--embeddings", convert.embeddings, kTypes,
                     "type of embeddings and head (default f16; f32, bf16 with --type)");
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
  app.add_flag("--dry-run", options.dry_run, "say what would be written, and how large it is");
}

/// Tensors and bytes of each type, and what else there is to know.
void describe(const Conversion& conversion, std::ostream& out) {
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
  line(files == 1 ? "file" : std::to_string(files) + " files", all);
  for (const std::string& note : conversion.notes()) out << sinq::io::printable(note) << "\n";
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
  const bool has_blocks = block_size(convert.type) > 1 || block_size(convert.table_type()) > 1;
  if (convert.importance != Importance::kNone && !has_blocks) {
    refuse(std::string(convert.imatrix.empty() ? "--importance" : "--imatrix") + " is of no use: --type " + type +
           " has no blocks that are fitted");
  }
  if ((convert.fallback.type || !convert.fallback.is_allowed) && !has_blocks) {
    refuse("--fallback is of no use: rows of " + type + " are always whole blocks");
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
  check_flags(options);
  if (options.fold) convert.fold = options.scales;
  // What can be seen without opening the model is said at once.
  const bool is_whole = convert.max_shard_bytes == ConvertOptions{}.max_shard_bytes;
  if (is_whole) check_output(options, options.output, {convert.model, convert.calibration, convert.imatrix});
  Conversion conversion(convert);
  for (const auto& file : conversion.outputs(options.output)) check_output(options, file, conversion.inputs());
  describe(conversion, out);
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
