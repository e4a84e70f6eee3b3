#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

namespace common {

template <class Value>
using Names = std::map<std::string, Value>;

template <class Value>
[[nodiscard]] std::vector<std::string> keys_of(const Names<Value>& names) {
  std::vector<std::string> out;
  for (const auto& [key, value] : names) out.push_back(key);
  return out;
}

[[nodiscard]] inline std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : "|") + word;
  return out;
}

/// An option whose values are names, in any case: help and errors list them. `target`, a Value or an optional one, and
/// `names` outlive the app.
template <class Value, class Target>
CLI::Option* add_choice(CLI::App& app, const std::string& flag, Target& target, const Names<Value>& names,
                        const std::string& help) {
  const std::vector<std::string> keys = keys_of(names);
  return app
      .add_option_function<std::string>(
          flag, [&target, &names](const std::string& key) { target = names.at(key); }, help)
      ->transform(CLI::IsMember(keys, CLI::ignore_case))
      ->option_text(joined(keys));
}

}  // namespace common
