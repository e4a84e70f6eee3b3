#pragma once

#include "llm/model_config.hpp"
#include "llm/tensor_source.hpp"
#include "llm/tokenizer.hpp"

#include <filesystem>
#include <memory>

namespace llm {

/// What a model is made of, before any weight is read.
struct OpenedModel {
  ModelConfig config;
  std::shared_ptr<const TensorSource> tensors;
};

/// Finds out what `path` is and opens it: a Hugging Face folder or a GGUF file. Throws kUnsupported for what the engine
/// does not know, kIo and kBadFile.
[[nodiscard]] OpenedModel open_model(const std::filesystem::path& path);

/// The tokenizer of the model at `path`. Throws as `open_model`.
[[nodiscard]] Tokenizer open_tokenizer(const std::filesystem::path& path);

}  // namespace llm
