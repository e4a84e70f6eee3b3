#pragma once

#include "llm/tensor_source.hpp"

#include <filesystem>
#include <memory>

namespace llm {

/// The tensors of a folder that huawei-csl/SINQ or transformers quantized: its layers are read now and brought into the
/// order of sinq's own format. Throws what sinq::io::ReferenceCheckpoint throws.
[[nodiscard]] std::shared_ptr<const TensorSource> open_reference_source(const std::filesystem::path& folder);

}  // namespace llm
