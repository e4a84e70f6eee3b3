#pragma once

#include <sinq/fold/architecture.hpp>

#include "llm/json_file.hpp"

namespace fold_program {

/// What a Hugging Face config.json says of a model's edges. Throws kUnsupported for an architecture without a preset or
/// a model that is quantized, kBadFile for fields that are missing or of another type.
[[nodiscard]] sinq::fold::Architecture architecture_from_json(const llm::Json& config);

}  // namespace fold_program
