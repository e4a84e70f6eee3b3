#include <sinq/io/atomic_file.hpp>
#include <sinq/presets.hpp>
#include <sinq/version.hpp>

#include "common/checks.hpp"
#include "common/checksum.hpp"
#include "common/command_line.hpp"
#include "common/output.hpp"
#include "llm/commands.hpp"
#include "llm/data_options.hpp"
#include "llm/drawn_blocks.hpp"
#include "llm/json_difference.hpp"
#include "llm/measure_sensitivity.hpp"
#include "llm/model_identity.hpp"
#include "llm/progress.hpp"
#include "llm/quantize_model.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <iomanip>
#include <memory>
#include <ostream>

namespace llm {
namespace {

namespace fs = std::filesystem;

struct SensitivityOptions {
  fs::path model, out;
  fs::path text;  ///< empty: drawn from the model
  std::uint64_t seed = 1;
  Index blocks = 8;
  Index context = 256;
  int threads = 0;
  common::Existing existing = common::Existing::kRefused;
};

/// What a run was asked for: decides whether another one can go on with what it left.
Sensitivities described(const SensitivityOptions& options) {
  const fs::path model = fs::absolute(options.model).lexically_normal();
  Sensitivities out{
      .model = {{"name", (model.has_filename() ? model : model.parent_path()).filename().string()},
                {"files", model_identity(options.model)}},
      .measured = {{"method", "KL of the model with one matrix quantized, over the matrix's relative squared error"},
                   {"recipe", kProbeRecipe},
                   {"blocks", options.blocks},
                   {"context", options.context},
                   {"program", "sinq-lm " + std::to_string(SINQ_VERSION_MAJOR) + "." +
                                   std::to_string(SINQ_VERSION_MINOR) + "." + std::to_string(SINQ_VERSION_PATCH)}},
      .matrices = {}};
  if (options.text.empty()) {
    out.measured["text"] = "drawn from the model";
    out.measured["seed"] = options.seed;
  } else {
    out.measured["text"] = options.text.filename().string();
    out.measured["text_xxh64"] = common::checksum(sinq::io::MappedFile::open(options.text));
  }
  return out;
}

/// What a run leaves beside its output until it is finished: the tokens, and the layers that were measured. A run that
/// was killed goes on with it.
class SensitivityWork {
 public:
  /// Throws kBadConfig if another run's work lies there, which `existing` does not let go.
  SensitivityWork(const fs::path& out, Json identity, common::Existing existing)
      : path_(out.parent_path() / ("." + out.filename().string() + ".sinq-sensitivity")),
        identity_(std::move(identity)) {
    std::error_code error;
    if (!fs::is_regular_file(path_, error)) return;
    Json found;
    try {
      found = read_json(path_);
      const Json was = required<Json>(found, "identity");
      if (const std::string what = difference(was, identity_); !what.empty()) {
        if (existing == common::Existing::kReplaced) return;
        throw sinq::Error(sinq::Errc::kBadConfig,
                          path_.string() + ": is what another run left (" + what + "); --force begins anew");
      }
      tokens_ = required<std::vector<Token>>(found, "tokens");
      matrices_ = matrices_from_json(found["matrices"], path_.string());
    } catch (const sinq::Error& error_of_file) {
      if (error_of_file.code() == sinq::Errc::kBadConfig) throw;
      tokens_.clear();  // damaged: all is done again
    }
  }

  [[nodiscard]] const std::vector<Token>& tokens() const noexcept { return tokens_; }
  [[nodiscard]] const std::vector<MatrixSensitivity>& matrices() const noexcept { return matrices_; }

  void keep(const std::vector<Token>& tokens, const std::vector<MatrixSensitivity>& matrices) const {
    Json list = Json::array();
    for (const MatrixSensitivity& matrix : matrices) list.push_back(to_json(matrix));
    const std::string text = Json{{"identity", identity_}, {"tokens", tokens}, {"matrices", list}}.dump();
    sinq::io::AtomicFile file(path_);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
  }
  void remove() const { fs::remove(path_); }

 private:
  fs::path path_;
  Json identity_;
  std::vector<Token> tokens_;
  std::vector<MatrixSensitivity> matrices_;
};

TokenBlocks blocks_of(const SensitivityOptions& options, const Model& model) {
  if (!options.text.empty()) {
    TokenBlocks blocks = blocks_from_text(open_tokenizer(options.model), options.text, options.context);
    blocks.limit(options.blocks);
    return blocks;
  }
  Progress progress("draw text", options.blocks);
  return draw_blocks(model, options.blocks, options.context, options.seed, options.threads, [&] { progress.step(); });
}

const MatrixSensitivity& of(const std::vector<MatrixSensitivity>& matrices, const std::string& name) {
  return *std::find_if(matrices.begin(), matrices.end(), [&](const auto& matrix) { return matrix.name == name; });
}

/// Brings alphas to the scale of the whole model. Alone and at two bits, matrices cost more for each error than all of
/// them do at the sizes that people run: their sum is compared once with the model quantized at four bits.
void scale(Sensitivities& result, const Model& model, const TokenBlocks& blocks, int threads) {
  constexpr const char* kWholeRecipe = "learned-4-g64";
  const auto recipes = sinq::presets::recipes();
  const auto recipe =
      std::find_if(recipes.begin(), recipes.end(), [](const auto& r) { return r.name == kWholeRecipe; });
  Progress progress("whole model", static_cast<std::ptrdiff_t>(model.linears().size()) + 2 * blocks.count());
  const Step step = [&] { progress.step(); };
  const QuantizedModel quantized = quantize_model(model, with_recipe({}, *recipe), threads, step);
  const Baseline baseline = read_baseline(model, blocks, 0, threads, step);
  const double kl = evaluate(quantized.model, blocks, &baseline, threads, step).kl;
  double sum = 0;
  for (const LayerError& layer : quantized.layers) {
    const double relative = layer.squared_weight > 0 ? layer.report.relative_frobenius : 0.0;
    sum += of(result.matrices, layer.name + ".weight").alpha * relative * relative;
  }
  result.measured["whole"] = {{"recipe", kWholeRecipe}, {"kl", kl}, {"sum", sum}};
  if (!(sum > 0 && kl > 0)) return;
  for (MatrixSensitivity& matrix : result.matrices) matrix.alpha *= kl / sum;
}

/// alpha of all matrices, a line per layer.
void print_table(const Model& model, const std::vector<MatrixSensitivity>& matrices, std::ostream& out) {
  const auto alpha_of = [&](const std::string& name) { return fixed(of(matrices, name).alpha, 4); };
  out << "layer";
  for (const BlockLinear& linear : kBlockLinears) {
    const std::string name = linear.name;
    out << std::setw(10) << name.substr(name.find('.') + 1, name.find("_proj") - name.find('.') - 1);
  }
  for (const LinearId id : model.linears()) {
    if (id.linear == 0) out << "\n" << std::setw(5) << id.layer;
    out << std::setw(10) << alpha_of(id.name() + ".weight");
  }
  out << "\n"
      << kEmbeddingName << (model.config.tied_head ? ", the head, too" : "") << "  " << alpha_of(kEmbeddingName);
  if (!model.config.tied_head) out << "\n" << kHeadName << "  " << alpha_of(kHeadName);
  out << "\n";
}

void run_sensitivity(const SensitivityOptions& options, std::ostream& out) {
  const common::OutputFile file(options.out, options.existing, {options.model, options.text});
  const Model model = Model::open(options.model);
  if (model.tensors->is_quantized()) {
    throw sinq::Error(sinq::Errc::kUnsupported,
                      options.model.string() + ": is quantized already, sensitivities are those of the original model");
  }
  Sensitivities result = described(options);
  const SensitivityWork work(options.out, {{"model", result.model["files"]}, {"measured", result.measured}},
                             options.existing);
  const auto start = std::chrono::steady_clock::now();
  TokenBlocks blocks{.context = options.context, .tokens = work.tokens()};
  if (blocks.tokens.empty()) {
    blocks = blocks_of(options, model);
    work.keep(blocks.tokens, {});
  } else {
    out << "going on with " << work.matrices().size() << " matrices that were measured before" << std::endl;
  }
  result.measured["tokens"] = blocks.tokens.size();
  result.matrices = measure_sensitivities(model, blocks, work.matrices(), options.threads,
                                          [&](const auto& matrices) { work.keep(blocks.tokens, matrices); });
  scale(result, model, blocks, options.threads);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  file.write(to_json(result).dump(1) + "\n");
  work.remove();
  print_table(model, result.matrices, out);
  out << options.out.string() << ": " << result.matrices.size() << " matrices, " << blocks.tokens.size() << " tokens, "
      << fixed(seconds.count(), 1) << " s\n";
}

}  // namespace

void add_sensitivity_command(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("sensitivity", "How much each matrix matters: what --sensitivity reads elsewhere");
  const auto options = std::make_shared<SensitivityOptions>();
  command->add_option("MODEL", options->model, "Hugging Face folder")->required();
  command->add_option("-o,--output", options->out, "file to write")->option_text("FILE")->required();
  command->add_option("--text", options->text, "measure on this text instead of text drawn from the model")
      ->check(CLI::ExistingFile);
  command->add_option("--seed", options->seed, "of the text drawn from the model")
      ->check(common::kNotNegative)
      ->capture_default_str();
  command->add_option("--blocks", options->blocks, "of text")->check(common::kPositive)->capture_default_str();
  command->add_option("--context", options->context, "tokens per block")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "0: as many as the machine has")->check(CLI::Range(0, 1024));
  common::add_force_flag(*command, options->existing);
  command->callback([command, options, &out] {
    if (!options->text.empty())
      common::refuse_flags(*command, {"--seed"}, "is of no use with --text: nothing is drawn");
    run_sensitivity(*options, out);
  });
}

}  // namespace llm
