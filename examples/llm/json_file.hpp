#pragma once

#include <sinq/error.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

namespace llm {

using Json = nlohmann::json;

/// Parses a JSON file. Throws kIo if it cannot be opened, kBadFile if it is not JSON.
[[nodiscard]] inline Json read_json(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw sinq::Error(sinq::Errc::kIo, path.string() + ": cannot be opened");
  try {
    return Json::parse(file);
  } catch (const Json::exception& e) {
    throw sinq::Error(sinq::Errc::kBadFile, path.string() + ": " + e.what());
  }
}

/// `object[key]` as a T, or `fallback` where it is absent or null. Throws kBadFile if it has another type.
template <class T>
[[nodiscard]] T value_or(const Json& object, const char* key, const T& fallback) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  try {
    return it->get<T>();
  } catch (const Json::exception&) {
    throw sinq::Error(sinq::Errc::kBadFile, std::string(key) + ": unexpected value " + it->dump());
  }
}

/// `object[key]` as a T. Throws kBadFile if it is absent or has another type.
template <class T>
[[nodiscard]] T required(const Json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || object[key].is_null()) {
    throw sinq::Error(sinq::Errc::kBadFile, std::string(key) + ": missing");
  }
  return value_or<T>(object, key, T{});
}

/// Whether `object` has a value for `key`.
[[nodiscard]] inline bool has(const Json& object, const char* key) {
  return object.is_object() && object.contains(key) && !object[key].is_null();
}

}  // namespace llm
