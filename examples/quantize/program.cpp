#include "quantize/program.hpp"

#include <sinq/error.hpp>
#include <sinq/version.hpp>

#include "common/command_line.hpp"
#include "common/output.hpp"
#include "quantize/commands.hpp"

#include <CLI/CLI.hpp>

#include <charconv>
#include <ostream>

namespace convert {
namespace {

/// "i/n" with 1 <= i <= n.
Part parse_part(const std::string& text) {
  Part part;
  const char* end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, part.number);
  if (first == std::errc() && slash != end && *slash == '/') {
    const auto [last, second] = std::from_chars(slash + 1, end, part.of);
    if (second == std::errc() && last == end && part.number >= 1 && part.number <= part.of) return part;
  }
  throw CLI::ValidationError("--shard", "'" + text + "' is not i/n with 1 <= i <= n");
}

void add_output_options(CLI::App& app, std::filesystem::path& out, std::filesystem::path& report, Existing& existing) {
  app.add_option("-o,--output", out, "folder of the quantized model")->option_text("OUT_DIR");
  app.add_option("--report", report, "write what each layer lost, and totals, to this JSON file")->option_text("FILE");
  common::add_force_flag(app, existing);
}

void add_convert_options(CLI::App& app, ConvertOptions& options) {
  app.add_option("MODEL_DIR", options.model, "folder with config.json and safetensors");
  add_output_options(app, options.out, options.report, options.existing);
  app.add_flag_callback(
      "--dry-run", [&options] { options.action = Action::kForecast; }, "say what would be written, to the byte");
  app.add_option("--max-shard-size", options.max_shard_bytes, "of the tensors in a file, e.g. 2GB (default 5GB)")
      ->transform(CLI::AsSizeValue(true))
      ->option_text("SIZE");
  app.add_option_function<std::string>(
         "--shard", [&options](const std::string& text) { options.part = parse_part(text); },
         "make the i-th of n parts only; 'merge' joins them")
      ->option_text("i/n");
  app.add_option("--threads", options.threads, "0: all")->check(CLI::Range(0, 1024))->capture_default_str();
  add_selection_options(app, options.selection);
}

CLI::App* add_merge_command(CLI::App& app, MergeOptions& options) {
  auto* merge = app.add_subcommand("merge", "Joins parts that were made with --shard");
  merge->add_option("MODEL_DIR", options.model, "folder that the parts were made from")->required();
  merge->add_option("PART_DIR", options.parts, "output folders of the parts, if they are not OUT_DIR itself");
  add_output_options(*merge, options.out, options.report, options.existing);
  merge->get_option("--output")->required();
  return merge;
}

ExitCode exit_code_of(const std::exception& error) {
  if (dynamic_cast<const Conflict*>(&error) != nullptr) return kConflict;
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&error) != nullptr) return kSystem;
  const auto* own = dynamic_cast<const sinq::Error*>(&error);
  return own != nullptr && own->code() == sinq::Errc::kIo ? kSystem : kRefused;
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app(
      "Quantizes a Hugging Face checkpoint: sinq-quantize MODEL_DIR -o OUT_DIR.\n"
      "A run that was killed goes on when it is called again. Exit codes: 0 done, 1 the model or the settings cannot "
      "be converted, 2 wrong command line, 3 the system refused something, 4 OUT_DIR holds something else.",
      "sinq-quantize");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  ConvertOptions convert_options;
  MergeOptions merge_options;
  add_convert_options(app, convert_options);
  const CLI::App* merge = add_merge_command(app, merge_options);
  const int status = common::run_command_line(
      app, arguments, out, err,
      [&] {
        if (merge->parsed()) {
          for (const CLI::Option* option : app.get_options()) {
            if (option->count() == 0) continue;
            throw CLI::ExcludesError(option->get_name(), "merge, whose options stand behind it");
          }
          return run_merge(merge_options, out);
        }
        if (convert_options.model.empty()) throw CLI::RequiredError("MODEL_DIR");
        if (convert_options.out.empty() && convert_options.action != Action::kForecast) {
          throw CLI::RequiredError("--output");
        }
        run_convert(convert_options, out);
      },
      exit_code_of);
  constexpr int kFirstOfParser = 100;
  return status < kFirstOfParser ? status : static_cast<int>(kUsage);
}

}  // namespace convert
