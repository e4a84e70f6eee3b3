#pragma once

#include "support/golden_case.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

namespace sinq::test {

/// The cases that live in this repository (chosen by hand; see README.md beside them).
inline std::vector<std::filesystem::path> embedded_cases() { return case_folders(SINQ_GOLDEN_DATA_DIR); }

/// The full set, if this machine has it: the environment's SINQ_GOLDEN_DIR, else the CMake variable of that name.
inline std::optional<std::filesystem::path> full_golden_dir() {
  const char* chosen = std::getenv("SINQ_GOLDEN_DIR");
  const std::filesystem::path dir = chosen != nullptr ? chosen : SINQ_GOLDEN_DIR;
  if (!std::filesystem::is_directory(dir)) return std::nullopt;
  return dir;
}

}  // namespace sinq::test
