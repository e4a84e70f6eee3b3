#pragma once

#include "llm/json_file.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

/// The pattern that ByteLevel pre-tokenizers imply (GPT-2's).
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The regular expressions that the `pre_tokenizer` entry of tokenizer.json stands for: ByteLevel, or a Sequence of
/// Split and ByteLevel. Throws kUnsupported, naming what is not known.
[[nodiscard]] std::vector<std::string> pre_tokenizer_patterns(const Json& description);

/// Cuts text into the pieces within which byte pairs are merged.
class PreTokenizer {
 public:
  /// From regular expressions, applied one after the other: each match is a piece, and so is what lies between.
  /// Throws kBadFile if one does not compile.
  explicit PreTokenizer(const std::vector<std::string>& patterns);
  /// From the `pre_tokenizer` entry of tokenizer.json. Throws as `pre_tokenizer_patterns`.
  [[nodiscard]] static PreTokenizer from_json(const Json& description);

  /// Pieces of `text`, in order, together the whole text. Bytes that are not UTF-8 stand in no match.
  [[nodiscard]] std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct FreeCode {
    void operator()(void* code) const noexcept;
  };
  std::vector<std::unique_ptr<void, FreeCode>> patterns_;
};

}  // namespace llm
