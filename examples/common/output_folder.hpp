#pragma once

#include "common/output.hpp"

#include <filesystem>

namespace common {

/// Throws as `require_new` if `output` cannot become the folder that a program makes; kIo if it is something else.
inline void require_new_folder(const std::filesystem::path& output, Existing existing, const Paths& inputs) {
  const auto type = std::filesystem::status(output).type();
  if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::directory) {
    throw sinq::Error(sinq::Errc::kIo, output.string() + ": cannot be written: is no folder");
  }
  require_new(output, existing, inputs);
}

}  // namespace common
