#include "llm/data_options.hpp"

#include "common/checks.hpp"
#include "llm/opened_model.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace llm {

TokenBlocks DataOptions::blocks() const {
  TokenBlocks out =
      text.empty() ? blocks_from_tokens(tokens, context) : blocks_from_text(open_tokenizer(model), text, context);
  out.limit(limit);
  return out;
}

void add_data_options(CLI::App& app, DataOptions& data) {
  app.add_option("MODEL", data.model, "Hugging Face folder")->required();
  auto* source = app.add_option_group("source", "What is read");
  source->add_option("--text", data.text, "text file");
  source->add_option("--tokens", data.tokens, "safetensors file with token ids, \"tokens\"");
  source->require_option(1);
  app.add_option("--context", data.context, "tokens per block")->required()->check(CLI::Range(2, 1 << 20));
  app.add_option("--limit", data.limit, "read the first blocks only; 0: all")->check(common::kNotNegative);
  app.add_option("--threads", data.threads, "0: as many as the machine has")->check(CLI::Range(0, 1024));
  common::add_force_flag(app, data.existing);
}

Json to_json(const DataOptions& data, const TokenBlocks& blocks) {
  return {{"model", data.model.string()},
          {"source", (data.text.empty() ? data.tokens : data.text).string()},
          {"context", data.context},
          {"blocks", blocks.count()}};
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

}  // namespace llm
