#pragma once

#include <filesystem>

namespace llm::test {

/// The small model that the examples carry.
inline std::filesystem::path embedded_model() {
  return std::filesystem::path(SINQ_TEST_SOURCE_DIR) / "examples/data/lm1m";
}

/// Larger models and texts, where a checkout has them beside it.
inline std::filesystem::path shared_folder() { return std::filesystem::path(SINQ_TEST_SOURCE_DIR) / "../shared"; }

}  // namespace llm::test
