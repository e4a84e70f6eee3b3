#pragma once

#include <sinq/io/gguf_value.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gguf {

/// The front matter of a model card: lists by their keys, single values as lists of one. Of YAML it knows what such
/// cards are made of, top-level keys with a value, `- items` or `[items]`, quoted or not; the rest is passed over.
[[nodiscard]] std::map<std::string, std::vector<std::string>> front_matter(std::string_view readme);

/// Adds license and base models from the README.md of `folder`, if there is one, as llama.cpp's converter does. Throws
/// kIo if it cannot be read.
void add_model_card(const std::filesystem::path& folder, sinq::io::GgufMetadata& out);

/// general.size_label for so many weights: "596M", "7.6B", as llama.cpp's converter rounds them.
[[nodiscard]] std::string size_label(double weights);

}  // namespace gguf
