#include "llm/json_difference.hpp"

namespace llm {

std::string difference(const Json& was, const Json& is, const std::string& path) {
  const auto text = [](const Json* value) { return value == nullptr ? std::string("absent") : value->dump(); };
  const auto at = [](const Json& json, const std::string& key) { return json.contains(key) ? &json.at(key) : nullptr; };
  if (was == is) return "";
  if (was.is_array() && is.is_array() && was.size() == is.size()) {
    for (std::size_t i = 0; i < is.size(); ++i) {
      const std::string found = difference(was[i], is[i], path + "[" + std::to_string(i) + "]");
      if (!found.empty()) return found;
    }
  }
  if (was.is_object() && is.is_object()) {
    Json keys = was;
    keys.update(is);
    for (const auto& [key, unused] : keys.items()) {
      const Json *a = at(was, key), *b = at(is, key);
      const std::string name = path.empty() ? key : path + "." + key;
      if (a == nullptr || b == nullptr) return name + " was " + text(a) + " and is " + text(b);
      const std::string found = difference(*a, *b, name);
      if (!found.empty()) return found;
    }
  }
  return path + " was " + text(&was) + " and is " + text(&is);
}

}  // namespace llm
