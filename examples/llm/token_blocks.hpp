#pragma once

#include <sinq/types.hpp>

#include "llm/tokenizer.hpp"

#include <filesystem>
#include <span>
#include <vector>

namespace llm {

using sinq::Index;

/// Text cut into blocks of `context` tokens, one behind the other; what is left at an end is dropped.
struct TokenBlocks {
  Index context = 0;
  std::vector<Token> tokens;  ///< [count, context]

  [[nodiscard]] Index count() const noexcept { return static_cast<Index>(tokens.size()) / context; }
  [[nodiscard]] std::span<const Token> block(Index i) const {
    return std::span(tokens).subspan(static_cast<std::size_t>(i * context), static_cast<std::size_t>(context));
  }
  /// The first blocks only; 0: all.
  void limit(Index blocks) {
    if (blocks > 0 && blocks < count()) tokens.resize(static_cast<std::size_t>(blocks * context));
  }
};

/// A text file, tokenized as one string without added tokens. Throws kIo; kBadData if it is shorter than a block.
[[nodiscard]] TokenBlocks blocks_from_text(const Tokenizer& tokenizer, const std::filesystem::path& file,
                                           Index context);

/// A safetensors file with token ids, "tokens" [length] or [sequences, length]; blocks never span two sequences.
/// Throws kIo, kBadFile; kBadData if the sequences are shorter than a block.
[[nodiscard]] TokenBlocks blocks_from_tokens(const std::filesystem::path& file, Index context);

}  // namespace llm
