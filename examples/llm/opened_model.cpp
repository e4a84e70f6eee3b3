#include "llm/opened_model.hpp"

#include "llm/checkpoint_source.hpp"

namespace llm {

OpenedModel open_model(const std::filesystem::path& path) {
  ModelConfig config = ModelConfig::open(path);  // its complaints come before those about weights
  return {std::move(config), std::make_shared<CheckpointSource>(path)};
}

Tokenizer open_tokenizer(const std::filesystem::path& path) { return Tokenizer::open(path); }

}  // namespace llm
