#pragma once

#include "llm/evaluate.hpp"
#include "llm/json_file.hpp"
#include "llm/progress.hpp"
#include "llm/token_blocks.hpp"

#include <filesystem>
#include <fstream>
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
  Index limit = 0;  ///< blocks; 0: all
  int threads = 0;  ///< 0: all

  /// The blocks of the text. Throws what reading it throws.
  [[nodiscard]] TokenBlocks blocks() const;
};

/// MODEL --text --tokens --context --limit --threads.
void add_data_options(CLI::App& app, DataOptions& data);
/// The data options, as they go into a result file.
[[nodiscard]] Json to_json(const DataOptions& data, const TokenBlocks& blocks);

/// A file for results, opened before the work starts, so that a bad path costs no time. Empty path: none is wanted.
class OutputFile {
 public:
  /// Throws kIo.
  explicit OutputFile(const std::filesystem::path& path);
  /// Throws kIo if it was not written in full.
  void write(const std::string& text);
  [[nodiscard]] bool wanted() const noexcept { return !path_.empty(); }

 private:
  std::filesystem::path path_;
  std::ofstream stream_;
};

/// `value` with `digits` behind the point.
[[nodiscard]] std::string fixed(double value, int digits);

}  // namespace llm
