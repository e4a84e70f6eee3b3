#include "llm/pre_tokenizer.hpp"

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

namespace llm {
namespace {

[[noreturn]] void refuse_pattern(const std::string& what) {
  throw sinq::Error(sinq::Errc::kUnsupported, "tokenizer.json: pre_tokenizer: " + what);
}

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

void split_one(const pcre2_code* code, std::string_view text, std::vector<std::string_view>& pieces) {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code, nullptr), &pcre2_match_data_free);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t done = 0;
  while (done < text.size()) {
    const int found = pcre2_match(code, subject, text.size(), done, PCRE2_NOTEMPTY, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) throw sinq::Error(sinq::Errc::kBadData, "pre_tokenizer: " + error_text(found));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match.get());
    if (range[0] > done) pieces.push_back(text.substr(done, range[0] - done));
    pieces.push_back(text.substr(range[0], range[1] - range[0]));
    done = range[1];
  }
  if (done < text.size()) pieces.push_back(text.substr(done));
}

/// Adds the patterns that `step` stands for.
void add_patterns(const Json& step, std::vector<std::string>& patterns) {
  const auto type = required<std::string>(step, "type");
  if (type == "Sequence") {
    for (const Json& inner : required<Json>(step, "pretokenizers")) add_patterns(inner, patterns);
  } else if (type == "ByteLevel") {
    if (value_or(step, "add_prefix_space", true)) refuse_pattern("ByteLevel with add_prefix_space is not supported");
    if (value_or(step, "use_regex", true)) patterns.emplace_back(kGpt2Pattern);
  } else if (type == "Split") {
    const auto pattern = required<Json>(step, "pattern");
    if (!has(pattern, "Regex")) refuse_pattern("Split by " + pattern.dump() + " is not supported");
    if (required<std::string>(step, "behavior") != "Isolated" || value_or(step, "invert", false)) {
      refuse_pattern("Split with behavior " + step.dump() + " is not supported");
    }
    patterns.push_back(required<std::string>(pattern, "Regex"));
  } else {
    refuse_pattern(type + " is not supported");
  }
}

}  // namespace

std::vector<std::string> pre_tokenizer_patterns(const Json& description) {
  std::vector<std::string> patterns;
  if (!description.is_object()) refuse_pattern("missing, which is not supported");
  add_patterns(description, patterns);
  return patterns;
}

void PreTokenizer::FreeCode::operator()(void* code) const noexcept { pcre2_code_free(static_cast<pcre2_code*>(code)); }

PreTokenizer::PreTokenizer(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    int error = 0;
    PCRE2_SIZE where = 0;
    // MATCH_INVALID_UTF: text need not be valid UTF-8; what is not, never matches.
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &where, nullptr);
    if (code == nullptr) {
      throw sinq::Error(sinq::Errc::kBadFile, "tokenizer.json: pattern at " + std::to_string(where) + ": " +
                                                  error_text(error) + ": " + pattern);
    }
    patterns_.emplace_back(code);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // only speed: without it the pattern is interpreted
  }
}

PreTokenizer PreTokenizer::from_json(const Json& description) {
  return PreTokenizer(pre_tokenizer_patterns(description));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const auto& pattern : patterns_) {
    std::vector<std::string_view> finer;
    for (const std::string_view piece : pieces) split_one(static_cast<pcre2_code*>(pattern.get()), piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace llm
