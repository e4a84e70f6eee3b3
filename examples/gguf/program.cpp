#include "gguf/program.hpp"

#include <sinq/error.hpp>
#include <sinq/version.hpp>

#include "fold/scale_flags.hpp"
#include "gguf/convert.hpp"
#include "llm/progress.hpp"

#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <map>
#include <ostream>

namespace gguf {
namespace {

using sinq::io::GgufType;

/// The types that are written, by their names on the command line.
std::map<std::string, GgufType> written_types() {
  std::map<std::string, GgufType> out;
  for (const auto& row : sinq::io::detail::kGgufTypes) {
    if (row.type != GgufType::kF64) out.emplace(row.name, row.type);
  }
  return out;
}

struct Options {
  ConvertOptions convert;
  std::filesystem::path output;
  std::optional<GgufType> embeddings;
  bool fold = false;
  sinq::fold::ScaleOptions scales;
  bool dry_run = false;
};

void add_options(CLI::App& app, Options& options) {
  ConvertOptions& convert = options.convert;
  const CLI::CheckedTransformer type(written_types(), CLI::ignore_case);
  app.add_option("MODEL", convert.model, "Hugging Face folder, Qwen3 or Llama")->required();
  app.add_option("-o,--output", options.output, "the file to write")->required();
  app.add_option("--type", convert.type, "of the blocks' matrices")->required()->transform(type);
  app.add_option("--embeddings", options.embeddings, "type of embeddings and head (default f16; f32, bf16 with --type)")
      ->transform(type);
  app.add_option("--fallback", convert.fallback, "type of matrices whose rows are no whole blocks (default: an error)")
      ->transform(type);
  app.add_option("--name", convert.name, "of the model (default: the folder's)");
  const std::map<std::string, Importance> importance{
      {"none", Importance::kNone}, {"sinkhorn", Importance::kSinkhorn}, {"activations", Importance::kActivations}};
  app.add_option("--importance", convert.importance, "what columns weigh when blocks are fitted (default none)")
      ->transform(CLI::CheckedTransformer(importance, CLI::ignore_case));
  app.add_option("--calibrate", convert.calibration, "text for --importance activations");
  app.add_option("--calibrate-blocks", convert.calibration_blocks, "of 512 tokens, read at most; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--fold", options.fold, "fold column scales into what produces the inputs, then quantize");
  fold_program::add_scale_flags(app, "--fold-", options.scales);
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

void run(Options& options, std::ostream& out) {
  ConvertOptions& convert = options.convert;
  const auto refuse = [](const char* what) { throw sinq::Error(sinq::Errc::kBadConfig, what); };
  const bool calibrated = convert.importance == Importance::kActivations;
  if (calibrated && convert.calibration.empty()) refuse("--importance activations needs a text: --calibrate");
  if (!calibrated && !convert.calibration.empty()) refuse("--calibrate is of use with --importance activations only");
  const bool floats = convert.type == GgufType::kF32 || convert.type == GgufType::kBf16;
  convert.embeddings = options.embeddings.value_or(floats ? convert.type : GgufType::kF16);
  if (options.fold) {
    options.scales.validate();
    convert.fold = options.scales;
  } else if (options.scales != sinq::fold::ScaleOptions{}) {
    refuse("--fold-... options are of use with --fold only");
  }
  Conversion conversion(convert);
  describe(conversion.plan(), out);
  if (options.dry_run) return;
  llm::Progress progress("sinq-gguf", static_cast<long>(conversion.plan().tensors.size()));
  conversion.write(options.output, [&] { progress.step(); });
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("A GGUF file for llama.cpp from a Hugging Face folder", "sinq-gguf");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  Options options;
  add_options(app, options);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    app.parse(reversed);
    run(options, out);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err);
  } catch (const std::exception& e) {
    err << "sinq-gguf: " << e.what() << "\n";
    return 1;
  }
}

}  // namespace gguf
