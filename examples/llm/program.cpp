#include "llm/program.hpp"

#include <sinq/version.hpp>

#include "common/command_line.hpp"
#include "llm/commands.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace llm {

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("What quantization does to a language model", "sinq-lm");
  app.set_version_flag("--version", std::to_string(SINQ_VERSION_MAJOR) + "." + std::to_string(SINQ_VERSION_MINOR) +
                                        "." + std::to_string(SINQ_VERSION_PATCH));
  app.require_subcommand(1);
  add_perplexity_command(app, out);
  add_compare_command(app, out);
  add_generate_command(app, out);
  add_layers_command(app, out);
  add_sensitivity_command(app, out);
  return common::run_command_line(app, arguments, out, err, [] {});  // subcommands run when they are parsed
}

}  // namespace llm
