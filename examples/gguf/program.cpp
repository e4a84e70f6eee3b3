#include "gguf/program.hpp"

#include <sinq/error.hpp>
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
    if (row.type != GgufType::kF64) out.emplace(row.name, row.type);
  }
  return out;
}
const common::Names<GgufType> kTypes = written_types();
const common::Names<Importance> kImportances{
    {"none", Importance::kNone}, {"sinkhorn", Importance::kSinkhorn}, {"activations", Importance::kActivations}};

struct Options {
  ConvertOptions convert;
  std::filesystem::path output;
  common::Existing existing = common::Existing::kRefused;
  std::optional<GgufType> embeddings;
  bool fold = false;
  sinq::fold::ScaleOptions scales;
  bool dry_run = false;
};

void add_options(CLI::App& app, Options& options) {
  ConvertOptions& convert = options.convert;
  app.add_option("MODEL", convert.model, "Hugging Face folder, Qwen3 or Llama")->required();
  app.add_option("-o,--output", options.output, "the file to write; required, unless --dry-run writes nothing")
      ->option_text("FILE");
  common::add_force_flag(app, options.existing);
  common::add_choice(app, "--type", convert.type, kTypes, "of the blocks' matrices; required")->required();
  common::add_choice(app, "--embeddings", options.embeddings, kTypes,
                     "type of embeddings and head (default f16; f32, bf16 with --type)");
  common::add_choice(app, "--fallback", convert.fallback, kTypes,
                     "type of matrices whose rows are no whole blocks (default: an error)");
  app.add_option("--name", convert.name, "of the model (default: the folder's)");
  common::add_choice(app, "--importance", convert.importance, kImportances,
                     "what columns weigh when blocks are fitted (default none)");
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

/// Tensors and bytes of each type.
void describe(const sinq::io::GgufPlan& plan, std::ostream& out) {
  std::map<GgufType, std::pair<int, std::uint64_t>> types;
  for (const auto& tensor : plan.tensors) {
    auto& [count, bytes] = types[tensor.type];
    ++count;
    bytes += tensor.end - tensor.begin;
  }
  const auto line = [&](const std::string& what, int count, std::uint64_t bytes) {
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "%-8s %6d tensors %14llu bytes\n", what.c_str(), count,
                  static_cast<unsigned long long>(bytes));
    out << text.data();
  };
  for (const auto& [type, sum] : types) line(std::string(name(type)), sum.first, sum.second);
  line("file", static_cast<int>(plan.tensors.size()), plan.file_bytes);
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
  if (convert.importance != Importance::kNone && block_size(convert.type) == 1) {
    refuse("--importance is of no use: --type " + type + " has no blocks that are fitted");
  }
  if (convert.fallback && block_size(convert.type) == 1 && block_size(convert.embeddings) == 1) {
    refuse("--fallback is of no use: rows of " + type + " are always whole blocks");
  }
  if (options.fold) options.scales.validate();
}

void run(Options& options, std::ostream& out) {
  ConvertOptions& convert = options.convert;
  const bool floats = convert.type == GgufType::kF32 || convert.type == GgufType::kBf16;
  convert.embeddings = options.embeddings.value_or(floats ? convert.type : GgufType::kF16);
  check_flags(options);
  if (options.fold) convert.fold = options.scales;
  const common::Paths inputs{convert.model, convert.calibration};
  if (options.dry_run && !options.output.empty()) common::require_new(options.output, options.existing, inputs);
  const common::OutputFile output(options.dry_run ? "" : options.output, options.existing, inputs);
  Conversion conversion(convert);
  describe(conversion.plan(), out);
  if (options.dry_run) return;
  llm::Progress progress("sinq-gguf", static_cast<long>(conversion.plan().tensors.size()));
  conversion.write(output.path(), [&] { progress.step(); });
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("A GGUF file for llama.cpp from a Hugging Face folder", "sinq-gguf");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  Options options;
  add_options(app, options);
  return common::run_command_line(app, arguments, out, err, [&] { run(options, out); });
}

}  // namespace gguf
