#pragma once

#include <cstdio>
#include <filesystem>
#include <string>

namespace common {

/// `value` as printf's `format` writes it, in 63 characters at most.
[[nodiscard]] inline std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// The last part of a folder's path, also of "." and of "models/tiny/".
[[nodiscard]] inline std::string folder_name(const std::filesystem::path& folder) {
  const auto path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace common
