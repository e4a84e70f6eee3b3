#pragma once

#include "llm/svg_chart.hpp"

#include <filesystem>
#include <string>

namespace llm {

/// What somebody else measured, from a Markdown table with the columns `method`, `bpw` and `kl`: the rows whose method
/// begins with `prefix`, by rising size. Throws kIo; kBadFile if there is no such table, or no such row in it.
[[nodiscard]] Series read_reference_points(const std::filesystem::path& file, const std::string& prefix);

}  // namespace llm
