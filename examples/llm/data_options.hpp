#pragma once

#include "common/output.hpp"
#include "llm/evaluate.hpp"
#include "llm/json_file.hpp"
#include "llm/progress.hpp"
#include "llm/token_blocks.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace llm {

/// Which model reads which text: what perplexity, compare and layers share.
struct DataOptions {
  std::filesystem::path model;
  std::filesystem::path text, tokens;  ///< exactly one is given
  Index context = 0;
  Index limit = 0;                                         ///< blocks; 0: all
  int threads = 0;                                         ///< 0: all
  common::Existing existing = common::Existing::kRefused;  ///< of what is written

  /// What is read.
  [[nodiscard]] common::Paths inputs() const { return {model, text, tokens}; }
  /// The blocks of the text. Throws what reading it throws.
  [[nodiscard]] TokenBlocks blocks() const;
};

/// MODEL --text --tokens --context --limit --threads --force.
void add_data_options(CLI::App& app, DataOptions& data);
/// The data options, as they go into a result file.
[[nodiscard]] Json to_json(const DataOptions& data, const TokenBlocks& blocks);

/// `value` with `digits` behind the point.
[[nodiscard]] std::string fixed(double value, int digits);

}  // namespace llm
