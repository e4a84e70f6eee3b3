#include "llm/commands.hpp"
#include "llm/data_options.hpp"
#include "llm/layer_report.hpp"
#include "llm/progress.hpp"

#include <CLI/CLI.hpp>

#include <iomanip>
#include <memory>

namespace llm {
namespace {

struct LayersOptions {
  DataOptions data;
  QuantizeSettings settings;
  std::filesystem::path baseline, json;
};

void print_header(std::ostream& out) {
  out << std::left << std::setw(36) << "layer" << std::right << std::setw(6) << "rows" << std::setw(7) << "cols"
      << std::setw(8) << "bpw" << std::setw(10) << "weight" << std::setw(10) << "output" << std::setw(12) << "imbalance"
      << std::setw(9) << "after" << std::setw(10) << "kurtosis\n";
}

void print_row(const LayerError& layer, const OutputError& output, std::ostream& out) {
  const sinq::ErrorReport& report = layer.report;
  out << std::left << std::setw(36) << layer.name << std::right << std::setw(6) << layer.rows << std::setw(7)
      << layer.cols << std::setw(8) << fixed(report.bits_per_weight, 3) << std::setw(10)
      << fixed(report.relative_frobenius, 4) << std::setw(10) << fixed(output.relative(), 4) << std::setw(12)
      << fixed(report.imbalance_before, 3) << std::setw(9) << fixed(report.imbalance_after, 3) << std::setw(9)
      << fixed(report.kurtosis, 2) << "\n";
}

Json to_json(const LayerError& layer, const OutputError& output) {
  return {{"name", layer.name},
          {"rows", layer.rows},
          {"cols", layer.cols},
          {"bits_per_weight", layer.report.bits_per_weight},
          {"weight_error", layer.report.relative_frobenius},
          {"output_error", output.relative()},
          {"imbalance_before", layer.report.imbalance_before},
          {"imbalance_after", layer.report.imbalance_after},
          {"kurtosis", layer.report.kurtosis}};
}

void run_layers(const LayersOptions& options, std::ostream& out) {
  if (options.settings.weights == Weights::kAsStored && options.baseline.empty()) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--method fp32 has no errors to list, unless --baseline names a model");
  }
  validate(options.settings);
  const DataOptions& data = options.data;
  common::Paths inputs_of_file = data.inputs();
  inputs_of_file.insert(inputs_of_file.end(),
                        {options.baseline, options.settings.calibrate, options.settings.sensitivity});
  const common::OutputFile file(options.json, data.existing, inputs_of_file);
  const TokenBlocks blocks = data.blocks();
  const Model model = Model::open(data.model, options.settings.activations);
  const QuantizeSettings settings = settings_for(model, options.settings);
  const bool stored = settings.weights != Weights::kQuantized;
  if (stored == options.baseline.empty()) {
    throw sinq::Error(sinq::Errc::kBadConfig,
                      !stored ? "--baseline belongs to a model that is quantized already, or runs as it is stored"
                      : settings.weights == Weights::kQuantizedBefore
                          ? "--baseline: this model is quantized already, errors need the one that it was made from"
                          : "--baseline: this model runs as it is stored, errors need the one that it was made from");
  }
  const std::optional<Model> original = stored ? std::optional(Model::open(options.baseline)) : std::nullopt;
  const std::optional<TokenBlocks> text = calibration_blocks(model, data.model, settings);
  out << "model            " << what_runs(model, data.model, settings) << std::endl;  // flushed: the rest takes a while
  const std::optional<InputStats> inputs = calibrate(model, text, data.threads);
  const QuantizedModel quantized = stored
                                       ? compare_stored(*original, model, data.threads)
                                       : quantize_model(model, settings, data.threads, {}, inputs ? &*inputs : nullptr);
  std::vector<OutputError> outputs;
  {
    Progress progress("outputs", blocks.count());
    outputs = output_errors(stored ? *original : model, quantized, blocks, data.threads, [&] { progress.step(); });
  }
  print_header(out);
  Json layers = Json::array();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    print_row(quantized.layers[i], outputs[i], out);
    layers.push_back(to_json(quantized.layers[i], outputs[i]));
  }
  out << "all: bits per weight " << fixed(quantized.bits_per_weight(), 3) << ", weight error "
      << fixed(quantized.weight_error(), 4) << ", output error " << fixed(overall(outputs), 4) << "\n";
  Json json = to_json(data, blocks);
  json.update({{"bits_per_weight", quantized.bits_per_weight()},
               {"weight_error", quantized.weight_error()},
               {"output_error", overall(outputs)},
               {"settings", to_json(settings)},
               {"layers", layers}});
  file.write(json.dump(2) + "\n");
}

}  // namespace

void add_layers_command(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("layers", "Error of each layer's weights, and of its outputs on a text");
  const auto options = std::make_shared<LayersOptions>();
  add_data_options(*command, options->data);
  add_quantize_options(*command, options->settings);
  command->add_option("--baseline", options->baseline, "of a quantized MODEL: the folder of the one it was made from");
  command->add_option("--json", options->json, "write the table to this file");
  command->callback([options, &out] { run_layers(*options, out); });
}

}  // namespace llm
