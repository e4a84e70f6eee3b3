#pragma once

#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>

#include "llm/model_config.hpp"

#include <filesystem>
#include <string>

namespace gguf {

/// What llama.cpp calls the architecture of a model: "qwen3" or "llama".
[[nodiscard]] std::string architecture_of(const llm::ModelConfig& config);

/// The metadata of a GGUF file for the model in `folder`, from config.json, tokenizer.json, tokenizer_config.json,
/// generation_config.json, the chat templates and README.md, with the keys and types that llama.cpp's converter writes.
/// `name` is the model's, `type` that of most of its `weights`. Throws kUnsupported for what llama.cpp or this program
/// does not know, kBadFile, kIo.
[[nodiscard]] sinq::io::GgufMetadata metadata_of(const std::filesystem::path& folder, const llm::ModelConfig& config,
                                                 const std::string& name, sinq::io::GgufType type, double weights);

}  // namespace gguf
