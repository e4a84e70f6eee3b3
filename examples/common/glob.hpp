#pragma once

#include <fnmatch.h>

#include <string>

namespace common {

/// Whether a name matches a glob pattern as the shell knows them: * ? [abc]; * matches dots and slashes too.
[[nodiscard]] inline bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

}  // namespace common
