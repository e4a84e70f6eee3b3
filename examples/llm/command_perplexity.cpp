#include "common/checks.hpp"
#include "llm/commands.hpp"
#include "llm/data_options.hpp"
#include "llm/measure.hpp"
#include "llm/quantize_model.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <memory>

namespace llm {
namespace {

struct PerplexityOptions {
  DataOptions data;
  QuantizeSettings settings;
  std::filesystem::path baseline, calibration, json;
  Index kl_blocks = 0;
  Index calibration_blocks = 32;
};

void run_perplexity(const PerplexityOptions& options, std::ostream& out) {
  validate(options.settings);
  const DataOptions& data = options.data;
  common::Paths inputs_of_file = data.inputs();
  inputs_of_file.insert(inputs_of_file.end(), {options.baseline, options.calibration, options.settings.calibrate,
                                               options.settings.sensitivity});
  const common::OutputFile file(options.json, data.existing, inputs_of_file);
  const TokenBlocks blocks = data.blocks();
  TokenBlocks calibration;
  if (!options.calibration.empty()) {
    calibration = blocks_from_text(open_tokenizer(data.model), options.calibration, data.context);
    calibration.limit(options.calibration_blocks);
  }
  const auto start = std::chrono::steady_clock::now();
  const Model model = Model::open(data.model, options.settings.activations);
  const double seconds_open = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const QuantizeSettings settings = settings_for(model, options.settings);
  if (settings.weights != Weights::kQuantized && options.baseline.empty()) {
    const char* flag = options.kl_blocks != 0 ? "--kl-blocks" : options.calibration.empty() ? nullptr : "--calibration";
    if (flag != nullptr) {
      throw sinq::Error(sinq::Errc::kBadConfig, std::string(flag) +
                                                    " is of use with --baseline only: this model runs as "
                                                    "it is stored, there is nothing to compare it with");
    }
  }
  const std::optional<Model> other =
      options.baseline.empty() ? std::nullopt : std::optional(Model::open(options.baseline));
  if (other) require_same_vocabulary(model, *other);
  const std::optional<TokenBlocks> text = calibration_blocks(model, data.model, settings);
  out << "model            " << what_runs(model, data.model, settings) << std::endl;  // flushed: the rest takes a while

  // A model that is quantized now is its own baseline; as it is, it differs from itself in nothing.
  std::optional<Baseline> baseline;
  if (other || settings.weights == Weights::kQuantized) {
    baseline = read_baseline_shown(other ? *other : model, blocks, options.kl_blocks, data.threads);
  }
  const std::optional<InputStats> inputs = calibrate(model, text, data.threads);
  const Measurement result = measure(model, settings, blocks, baseline ? &*baseline : nullptr,
                                     calibration.tokens.empty() ? nullptr : &calibration, data.threads, "model",
                                     inputs ? &*inputs : nullptr, other ? &*other : nullptr);

  out << "perplexity       " << fixed(result.evaluation.perplexity, 4) << "\n";
  if (result.knows_kl()) {
    out << "kl               " << fixed(result.evaluation.kl, 5) << "\n"
        << "flips            " << fixed(100.0 * result.evaluation.flips, 2) << "%\n";
  }
  out << "bits per weight  " << fixed(result.bits_per_weight, 3) << "\n";
  if (result.weight_error) out << "weight error     " << fixed(*result.weight_error, 4) << "\n";
  if (result.output_error) out << "output error     " << fixed(*result.output_error, 4) << "\n";
  out << "seconds          " << fixed(seconds_open, 4) << " open, " << fixed(result.seconds_quantize, 2)
      << " quantize, " << fixed(result.evaluation.seconds, 2) << " evaluate\n";
  Json json = to_json(result);
  json["seconds_open"] = seconds_open;
  json.update(to_json(data, blocks));
  file.write(json.dump(2) + "\n");
}

}  // namespace

void add_perplexity_command(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("perplexity", "Perplexity and KL to the unquantized model");
  const auto options = std::make_shared<PerplexityOptions>();
  add_data_options(*command, options->data);
  add_embeddings_option(*command, options->settings);
  add_quantize_options(*command, options->settings);
  command->add_option("--kl-blocks", options->kl_blocks, "blocks that KL is taken over; 0: all")
      ->check(common::kNotNegative);
  command->add_option("--baseline", options->baseline, "folder of the model that KL is taken against (default MODEL)");
  auto* text = command->add_option("--calibration", options->calibration, "text for the error of the layers' outputs");
  command->add_option("--calibration-blocks", options->calibration_blocks, "of that text")
      ->check(common::kPositive)
      ->capture_default_str()
      ->needs(text);
  command->add_option("--json", options->json, "write the result to this file");
  command->callback([options, &out] { run_perplexity(*options, out); });
}

}  // namespace llm
