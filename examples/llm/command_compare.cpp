#include "common/checks.hpp"
#include "common/command_line.hpp"
#include "common/text.hpp"
#include "llm/commands.hpp"
#include "llm/data_options.hpp"
#include "llm/measure.hpp"
#include "llm/quantize_model.hpp"
#include "llm/reference_points.hpp"
#include "llm/svg_chart.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <iomanip>
#include <memory>

namespace llm {
namespace {

struct CompareOptions {
  DataOptions data;
  QuantizeSettings format{.asked = "compare"};
  std::vector<std::string> methods{"rtn", "sinq", "hqq", "nf4"};
  std::vector<int> bits{4, 3, 2};
  std::vector<Index> group_sizes{64, 128};
  std::vector<double> budgets;
  std::filesystem::path baseline, moved, json, svg, reference_points;
  std::vector<std::string> reference_prefixes{"ggml:"};
  Index kl_blocks = 0;
};

struct Row {
  std::string method;
  QuantizeSettings settings;
  Measurement result;
  std::optional<Measurement> moved{};  ///< the same of the model with factors moved
};

/// Every method at every width it has and every group size, and for every budget the preset and an allocation.
std::vector<Row> rows_of(const CompareOptions& options) {
  std::vector<Row> rows;
  for (const std::string& name : options.methods) {
    const Method& m = method(name);
    for (const int bits : m.only_bits ? std::vector<int>{*m.only_bits} : options.bits) {
      for (const Index group_size : options.group_sizes) {
        Row row{.method = name, .settings = options.format, .result = {}};
        row.settings.quantizer = m.quantizer;
        row.settings.normalizer = m.normalizer;
        row.settings.bits = bits;
        row.settings.group_size = group_size;
        validate(row.settings);
        rows.push_back(row);
      }
    }
  }
  // The same budgets with the same bits for all matrices and with each matrix's own, a line of the picture each.
  for (const auto& [name, recipe_for] :
       {std::pair("accurate", RecipeFor::kAllMatrices), std::pair("allocated", RecipeFor::kEachMatrix)}) {
    for (const double budget : options.budgets) {
      Row row{.method = name, .settings = options.format, .result = {}};
      row.settings.max_bits_per_weight = budget;
      row.settings.recipe_for = recipe_for;
      rows.push_back(row);
    }
  }
  return rows;
}

/// Of a table; those of the moved model's name KL over that of the model above, too.
void print_header(bool moved, std::ostream& out) {
  out << "\nmethod          bits  group     bpw  perplexity        kl     flips  weight error"
      << (moved ? "  kl / above" : "") << "\n";
}

void print_row(const std::string& method, const Measurement& m, std::optional<double> kl_above, std::ostream& out) {
  std::string bits = "each", group = "its own";
  if (!m.settings.allocation) {
    const Json settings = to_json(m.settings);
    bits = settings["bits"].dump();
    group = settings["group_size"].dump();
  }
  out << std::left << std::setw(14) << method << std::right << std::setw(6) << bits << std::setw(8) << group
      << std::setw(7) << fixed(m.bits_per_weight, 3) << std::setw(12) << fixed(m.evaluation.perplexity, 4)
      << std::setw(10) << fixed(m.evaluation.kl, 5) << std::setw(9) << fixed(100.0 * m.evaluation.flips, 2) << "%"
      << std::setw(14) << fixed(m.weight_error.value_or(0), 4);
  if (kl_above) out << std::setw(12) << (*kl_above > 0 ? fixed(m.evaluation.kl / *kl_above, 2) : "-");
  out << std::endl;  // flushed: the next row takes a while
}

/// What others measured, a series for each of them.
std::vector<Series> reference_series(const CompareOptions& options) {
  std::vector<Series> out;
  if (options.reference_points.empty()) return out;
  for (const std::string& prefix : options.reference_prefixes) {
    out.push_back(read_reference_points(options.reference_points, prefix));
  }
  return out;
}

/// `measured` of each row, a series for each method.
template <class Measured>
std::vector<Series> series_of(const std::vector<Row>& rows, const Measured& measured) {
  std::vector<Series> out;
  for (const Row& row : rows) {
    const Measurement& m = measured(row);
    if (out.empty() || out.back().name != row.method) out.push_back({row.method, {}});
    out.back().points.push_back({m.bits_per_weight, m.evaluation.kl});
  }
  return out;
}

Chart chart_of(const CompareOptions& options, const std::vector<Row>& rows) {
  Chart chart{.x_label = "bits per weight",
              .y_label = "KL to the unquantized model, nats per token",
              .panels = {{"Quantized " + common::folder_name(options.data.model),
                          series_of(rows, [](const Row& row) -> const Measurement& { return row.result; })}}};
  for (Series& series : reference_series(options)) chart.panels.front().series.push_back(std::move(series));
  if (!options.moved.empty()) {
    chart.panels.push_back({"The same function, factors moved",
                            series_of(rows, [](const Row& row) -> const Measurement& { return *row.moved; })});
  }
  return chart;
}

void run_compare(const CompareOptions& options, std::ostream& out) {
  const DataOptions& data = options.data;
  std::vector<Row> rows = rows_of(options);
  common::Paths inputs_of_files = data.inputs();
  inputs_of_files.insert(inputs_of_files.end(), {options.baseline, options.moved, options.format.calibrate,
                                                 options.format.sensitivity, options.reference_points});
  const common::OutputFile json_file(options.json, data.existing, inputs_of_files);
  const common::OutputFile svg_file(options.svg, data.existing, inputs_of_files);
  if (json_file.wanted() && svg_file.wanted() &&
      sinq::io::output_file(options.json) == sinq::io::output_file(options.svg)) {
    throw sinq::Error(sinq::Errc::kBadConfig, options.svg.string() + ": is what --json and --svg both name");
  }
  static_cast<void>(reference_series(options));  // now rather than when all is measured: a bad file should cost no time
  const TokenBlocks blocks = data.blocks();
  const Model model = Model::open(data.model);
  static_cast<void>(settings_for(model, options.format));  // refuses what cannot be quantized
  for (Row& row : rows) row.settings = settings_for(model, row.settings);
  const std::optional<TokenBlocks> text = calibration_blocks(model, data.model, options.format);
  const std::optional<Model> other =
      options.baseline.empty() ? std::nullopt : std::optional(Model::open(options.baseline));
  if (other) require_same_vocabulary(model, *other);
  const std::optional<Model> moved = options.moved.empty() ? std::nullopt : std::optional(Model::open(options.moved));
  if (moved) {
    require_same_vocabulary(model, *moved);
    static_cast<void>(settings_for(*moved, options.format));
  }
  const Baseline baseline = read_baseline_shown(other ? *other : model, blocks, options.kl_blocks, data.threads);
  const QuantizeSettings as_stored{.weights = Weights::kAsStored};
  out << "model            " << what_runs(model, data.model, as_stored) << ", then quantized in each of these ways"
      << std::endl;
  const Measurement fp32 = measure(model, as_stored, blocks, other ? &baseline : nullptr, nullptr, data.threads, "fp32",
                                   nullptr, other ? &*other : nullptr);
  out << "fp32 perplexity " << fixed(fp32.evaluation.perplexity, 4) << "\n";
  print_header(false, out);
  const std::optional<InputStats> inputs = calibrate(model, text, data.threads);
  for (Row& row : rows) {
    row.result =
        measure(model, row.settings, blocks, &baseline, nullptr, data.threads, row.method, inputs ? &*inputs : nullptr);
    print_row(row.method, row.result, std::nullopt, out);
  }
  std::optional<Measurement> fp32_moved;
  if (moved) {
    fp32_moved = measure(*moved, as_stored, blocks, &baseline, nullptr, data.threads, "fp32, factors moved");
    out << "\nfactors moved    " << options.moved.string() << ": fp32 perplexity "
        << fixed(fp32_moved->evaluation.perplexity, 4) << ", kl " << fixed(fp32_moved->evaluation.kl, 6) << "\n";
    print_header(true, out);
    const std::optional<InputStats> moved_inputs = calibrate(*moved, text, data.threads);
    for (Row& row : rows) {
      row.moved = measure(*moved, row.settings, blocks, &baseline, nullptr, data.threads,
                          row.method + ", factors moved", moved_inputs ? &*moved_inputs : nullptr);
      print_row(row.method, *row.moved, row.result.evaluation.kl, out);
    }
  }
  Json json = to_json(data, blocks);
  json["fp32"] = to_json(fp32);
  if (fp32_moved) json["fp32"]["moved"] = to_json(*fp32_moved);
  json["rows"] = Json::array();
  for (const Row& row : rows) {
    json["rows"].push_back(to_json(row.result));
    json["rows"].back()["method"] = row.method;
    if (row.moved) json["rows"].back()["moved"] = to_json(*row.moved);
  }
  json_file.write(json.dump(2) + "\n");
  svg_file.write(to_svg(chart_of(options, rows)));
}

}  // namespace

void add_compare_command(CLI::App& app, std::ostream& out) {
  auto* command = app.add_subcommand("compare", "Several methods, bits and group sizes side by side");
  const auto options = std::make_shared<CompareOptions>();
  std::string known;
  for (const Method& m : methods()) known += (known.empty() ? "of " : ", ") + m.name;
  add_data_options(*command, options->data);
  command->add_option("--methods", options->methods, known)->delimiter(',')->capture_default_str();
  command->add_option("--bits", options->bits, "of methods without a fixed codebook")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--group-size", options->group_sizes)->delimiter(',')->capture_default_str();
  auto* budgets = command
                      ->add_option("--max-bits-per-weight", options->budgets,
                                   "within each of these budgets, too: presets::accurate, and a recipe for each matrix")
                      ->delimiter(',');
  add_embeddings_option(*command, options->format);
  add_allocation_options(*command, options->format);
  for (const char* flag : {"--sensitivity", "--fixed"}) command->get_option(flag)->needs(budgets);
  add_format_options(*command, options->format);
  command->add_option("--kl-blocks", options->kl_blocks, "blocks that KL is taken over; 0: all")
      ->check(common::kNotNegative);
  command->add_option("--baseline", options->baseline, "folder of the model that KL is taken against (default MODEL)");
  command->add_option(
      "--moved", options->moved,
      "folder of a model of the same function, made by sinq-fold --random-factors: a second table, and a second "
      "panel of the picture");
  command->add_option("--json", options->json, "write the table to this file");
  auto* svg = command->add_option("--svg", options->svg, "write a picture to this file: KL over bits per weight");
  auto* points = command
                     ->add_option("--reference-points", options->reference_points,
                                  "a Markdown table with the columns method, bpw and kl, to show in the picture")
                     ->check(CLI::ExistingFile)
                     ->needs(svg);
  command
      ->add_option("--reference-prefix", options->reference_prefixes, "of the methods to show, a line for each prefix")
      ->delimiter(',')
      ->capture_default_str()
      ->needs(points);
  command->callback([command, options, &out] {
    const bool choose_bits = std::any_of(options->methods.begin(), options->methods.end(),
                                         [](const std::string& name) { return !method(name).only_bits; });
    if (!choose_bits) common::refuse_flags(*command, {"--bits"}, "is of no use: each of --methods has bits of its own");
    run_compare(*options, out);
  });
}

}  // namespace llm
