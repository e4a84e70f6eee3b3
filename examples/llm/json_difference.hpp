#pragma once

#include "llm/json_file.hpp"

#include <string>

namespace llm {

/// Where two descriptions differ, e.g. "settings[0].bits was 3 and is 4"; empty if they do not.
[[nodiscard]] std::string difference(const Json& was, const Json& is, const std::string& path = "");

}  // namespace llm
