#pragma once

#include "llm/json_file.hpp"
#include "llm/pre_tokenizer.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llm {

using Token = std::int32_t;

/// Byte-level byte pair encoding, as in Hugging Face's tokenizer.json (GPT-2, Qwen, Llama 3).
/// Every string of bytes has an encoding, and `decode(encode(text)) == text`.
class Tokenizer {
 public:
  /// Reads `folder`/tokenizer.json. Throws kUnsupported, naming the part it does not know, or kBadFile.
  [[nodiscard]] static Tokenizer open(const std::filesystem::path& folder);
  explicit Tokenizer(const Json& description);

  /// Token ids of `text`, in Unicode normal form C if the tokenizer wants that, else as it is. Added tokens (such as
  /// <|endoftext|>) that are spelled out in it are recognised; none is put in front or behind.
  [[nodiscard]] std::vector<Token> encode(std::string_view text) const;
  [[nodiscard]] std::string decode(std::span<const Token> tokens) const;
  /// The bytes one token stands for. Throws kBadData for an id that is not in the vocabulary.
  [[nodiscard]] const std::string& bytes(Token token) const;

  [[nodiscard]] const PreTokenizer& pre_tokenizer() const noexcept { return pre_tokenizer_; }

 private:
  struct Merge {
    std::int32_t rank;
    Token result;
  };
  struct AddedToken {
    std::string text;
    Token id;
  };

  void add_to_vocabulary(Token id, std::string bytes);
  void encode_plain(std::string_view text, std::vector<Token>& out) const;
  [[nodiscard]] std::vector<Token> encode_piece(std::string_view piece) const;

  PreTokenizer pre_tokenizer_;
  std::unordered_map<Token, std::string> vocabulary_;
  std::unordered_map<std::string, Token> ids_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // by left << 32 | right
  std::vector<AddedToken> added_;
  Token byte_tokens_[256];
  bool normal_form_c_ = false;
  bool ignore_merges_ = false;  // a piece that is a token needs no merging (Llama 3)
};

}  // namespace llm
