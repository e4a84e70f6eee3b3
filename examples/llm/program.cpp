#include "llm/program.hpp"

#include <sinq/error.hpp>
#include <sinq/version.hpp>

#include "llm/commands.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
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
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    app.parse(reversed);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err);
  } catch (const std::exception& e) {
    err << "sinq-lm: " << e.what() << "\n";
    return 1;
  }
}

}  // namespace llm
