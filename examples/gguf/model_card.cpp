#include "gguf/model_card.hpp"

#include <sinq/io/mapped_file.hpp>

#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace gguf {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

/// A value without quotes, or without the comment behind it.
std::string scalar(std::string_view text) {
  text = trimmed(text);
  for (const char quote : {'"', '\''}) {
    if (!text.starts_with(quote)) continue;
    const auto end = text.find(quote, 1);
    return std::string(end == std::string_view::npos ? text : text.substr(1, end - 1));
  }
  return std::string(trimmed(text.substr(0, text.find(" #"))));
}

/// The value behind a key: one, or several in brackets.
std::vector<std::string> values(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || text.front() == '#') return {};
  if (text.front() != '[' || text.back() != ']') return {scalar(text)};
  std::vector<std::string> out;
  text = text.substr(1, text.size() - 2);
  while (!trimmed(text).empty()) {
    const auto comma = text.find(',');
    out.push_back(scalar(text.substr(0, comma)));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return out;
}

/// "qwen3-0.6B-base" as "Qwen3 0.6B Base": words that are not all small, numbers and versions stay.
std::string title(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto end = name.find_first_of("- ");
    std::string word(name.substr(0, end));
    name.remove_prefix(end == std::string_view::npos ? name.size() : end + 1);
    if (word.empty()) continue;
    const auto is = [&](int (*kind)(int), std::size_t i) {
      return i < word.size() && kind(static_cast<unsigned char>(word[i])) != 0;
    };
    bool small = false, large = false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      small = small || is(std::islower, i);
      large = large || is(std::isupper, i);
    }
    const bool version = is(std::isdigit, 0) || (word.front() == 'v' && is(std::isdigit, 1));
    if (small && !large && !version) {
      word.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(word.front())));
    }
    out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

}  // namespace

std::map<std::string, std::vector<std::string>> front_matter(std::string_view readme) {
  std::map<std::string, std::vector<std::string>> out;
  std::vector<std::string>* list = nullptr;  // where items go
  bool begun = false;
  while (!readme.empty()) {
    const auto end = readme.find('\n');
    std::string_view line = readme.substr(0, end);
    readme.remove_prefix(end == std::string_view::npos ? readme.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == "---") {
      if (begun) return out;
      begun = true;
      continue;
    }
    if (!begun) return {};
    const std::string_view content = trimmed(line);
    if (content.empty() || content.front() == '#') continue;
    if (content.starts_with("- ")) {
      if (list != nullptr) list->push_back(scalar(content.substr(2)));
      continue;
    }
    const auto colon = line.find(':');
    list = nullptr;
    const bool is_inner = line.front() == ' ' || line.front() == '\t';
    if (is_inner || colon == std::string_view::npos) continue;
    auto& entry = out[std::string(trimmed(line.substr(0, colon)))];
    entry = values(line.substr(colon + 1));
    if (entry.empty()) list = &entry;
  }
  return {};  // it has no end
}

void add_model_card(const std::filesystem::path& folder, sinq::io::GgufMetadata& out) {
  const auto path = folder / "README.md";
  if (!std::filesystem::is_regular_file(path)) return;
  const auto file = sinq::io::MappedFile::open(path);
  const auto card = front_matter({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  for (const char* key : {"license", "license_name", "license_link"}) {
    const auto found = card.find(key);
    if (found == card.end() || found->second.empty()) continue;
    std::string gguf_key = "general." + std::string(key);
    if (gguf_key.find('_') != std::string::npos) gguf_key[gguf_key.find('_')] = '.';
    out.add(std::move(gguf_key), found->second.front());
  }
  const auto models = card.find("base_model");
  if (models == card.end() || models->second.empty()) return;
  out.add("general.base_model.count", static_cast<std::uint32_t>(models->second.size()));
  for (std::size_t i = 0; i < models->second.size(); ++i) {
    const std::string& id = models->second[i];
    const auto slash = id.find('/');
    const std::string key = "general.base_model." + std::to_string(i);
    out.add(key + ".name", title(slash == std::string::npos ? id : id.substr(slash + 1)));
    if (slash == std::string::npos) continue;
    out.add(key + ".organization", title(id.substr(0, slash)));
    out.add(key + ".repo_url", "https://huggingface.co/" + id);
  }
}

std::string size_label(double weights) {
  const std::pair<double, char> units[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}};
  double scaled = weights * 1e-3;
  char unit = 'K';
  for (const auto& [size, letter] : units) {
    if (weights > size) {
      scaled = weights / size;
      unit = letter;
      break;
    }
  }
  // Two digits at least.
  const int digits = std::round(scaled) >= 10.0 ? 0 : std::round(scaled) >= 1.0 ? 1 : 2;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f%c", digits, scaled, unit);
  return text.data();
}

}  // namespace gguf
