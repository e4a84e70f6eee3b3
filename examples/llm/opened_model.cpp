#include "llm/opened_model.hpp"

#include <sinq/io/reference_checkpoint.hpp>

#include "llm/checkpoint_source.hpp"
#include "llm/gguf_source.hpp"
#include "llm/reference_source.hpp"

namespace llm {

OpenedModel open_model(const std::filesystem::path& path) {
  if (is_gguf(path)) {
    auto file = std::make_shared<GgufSource>(path);
    return {file->config(), file};
  }
  ModelConfig config = ModelConfig::open(path);  // its complaints come before those about weights
  if (sinq::io::ReferenceCheckpoint::is_one(path)) return {std::move(config), open_reference_source(path)};
  return {std::move(config), std::make_shared<CheckpointSource>(path)};
}

Tokenizer open_tokenizer(const std::filesystem::path& path) {
  return is_gguf(path) ? gguf_tokenizer(path) : Tokenizer::open(path);
}

}  // namespace llm
