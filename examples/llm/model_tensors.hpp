#pragma once

#include "llm/model_config.hpp"

#include <set>
#include <string>

namespace llm {

/// The tensors that a model of this shape has, by Hugging Face's names: all that the engine reads.
[[nodiscard]] std::set<std::string> model_tensors(const ModelConfig& config);

/// Whether a model is the same without the tensor `name`, which files have all the same: frequencies of rotary
/// embeddings, which config.json says too, and, where the head is the embedding table, a copy of it.
[[nodiscard]] bool is_redundant(const std::string& name, const ModelConfig& config);

}  // namespace llm
