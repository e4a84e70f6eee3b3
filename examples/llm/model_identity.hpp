#pragma once

#include <sinq/io/checkpoint.hpp>

#include "llm/json_file.hpp"

#include <filesystem>

namespace llm {

/// Which checkpoint this is: sizes, checksums of headers and of samples of the weights. Names of folders and times do
/// not matter, so that copies on other machines are the same. Throws kIo.
[[nodiscard]] Json model_identity(const sinq::io::Checkpoint& checkpoint);
/// The same of a Hugging Face folder or a file of weights.
[[nodiscard]] Json model_identity(const std::filesystem::path& model);

}  // namespace llm
