#pragma once

#include <sinq/io/checkpoint.hpp>
#include <sinq/io/gguf.hpp>

#include "gguf/convert.hpp"
#include "gguf/program.hpp"
#include "llm/model.hpp"
#include "llm/paths.hpp"
#include "llm/session.hpp"
#include "llm/tiny_model.hpp"
#include "support/outcome.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace gguf::test {

using llm::Json;
using llm::test::embedded_model;
using llm::test::TemporaryFolder;
using sinq::io::GgufType;
using sinq::test::Outcome;

/// A folder with random weights of the given architecture and the embedded model's tokenizer.
inline void write_tiny_model(const std::filesystem::path& folder, const std::string& architecture,
                             const Json& changes = Json::object()) {
  Json config = llm::test::tiny_config(architecture);
  config.update({{"vocab_size", 2048}, {"hidden_size", 64}, {"intermediate_size", 96}, {"eos_token_id", 0}});
  config.update({{"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 16}});
  config.update(changes);
  write_model(llm::test::make_tiny_model(config, 7), folder);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(embedded_model() / file, folder / file);
  }
}

/// Converts and returns the file.
inline std::filesystem::path convert(const TemporaryFolder& folder, const ConvertOptions& options) {
  const auto file = folder.path() / "model.gguf";
  Conversion(options).write(file);
  return file;
}

/// One command line of sinq-gguf.
inline Outcome run(const std::vector<std::string>& arguments) {
  return sinq::test::outcome_of(&run_program, arguments);
}

/// What the model at `path` makes of a few tokens: final hidden states.
inline std::vector<float> hidden_states(const std::filesystem::path& path) {
  const llm::Model model = llm::Model::open(path);
  const std::vector<llm::Token> tokens{0, 5, 300, 17, 5, 999, 1203, 42};
  llm::Session session(model, 16);
  const auto hidden = session.read(tokens);
  return {hidden.begin(), hidden.end()};
}

}  // namespace gguf::test
