#pragma once

#include <ostream>

namespace CLI {
class App;
}

namespace llm {

/// Each adds one subcommand that, when it was parsed, runs and writes to `out`.
void add_perplexity_command(CLI::App& app, std::ostream& out);
void add_compare_command(CLI::App& app, std::ostream& out);
void add_generate_command(CLI::App& app, std::ostream& out);
void add_layers_command(CLI::App& app, std::ostream& out);
void add_sensitivity_command(CLI::App& app, std::ostream& out);

}  // namespace llm
