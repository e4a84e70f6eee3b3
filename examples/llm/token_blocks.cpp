#include "llm/token_blocks.hpp"

#include "llm/tensors.hpp"

#include <fstream>
#include <iterator>

namespace llm {
namespace {

void append_blocks(std::span<const Token> sequence, TokenBlocks& out) {
  const auto whole = static_cast<Index>(sequence.size()) / out.context * out.context;
  out.tokens.insert(out.tokens.end(), sequence.begin(), sequence.begin() + whole);
}

void check_context(Index context) {
  if (context < 2) {
    throw sinq::Error(sinq::Errc::kBadConfig, "context " + std::to_string(context) + " is not at least 2");
  }
}

void check_not_empty(const TokenBlocks& blocks, const std::filesystem::path& file) {
  if (blocks.tokens.empty()) {
    throw sinq::Error(sinq::Errc::kBadData,
                      file.string() + ": not one block of " + std::to_string(blocks.context) + " tokens");
  }
}

}  // namespace

TokenBlocks blocks_from_text(const Tokenizer& tokenizer, const std::filesystem::path& file, Index context) {
  check_context(context);
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw sinq::Error(sinq::Errc::kIo, file.string() + ": cannot be opened");
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (stream.bad()) throw sinq::Error(sinq::Errc::kIo, file.string() + ": cannot be read");
  TokenBlocks out{.context = context, .tokens = {}};
  append_blocks(tokenizer.encode(text), out);
  check_not_empty(out, file);
  return out;
}

TokenBlocks blocks_from_tokens(const std::filesystem::path& file, Index context) {
  check_context(context);
  const auto stored = sinq::io::SafetensorsFile::open(file);
  const auto& info = stored.at("tokens");
  if (info.shape.empty() || info.shape.size() > 2) {
    throw sinq::Error(sinq::Errc::kBadFile, file.string() + ": tokens is neither [length] nor [sequences, length]");
  }
  const std::vector<Token> tokens = load_integers(stored, info);
  const auto length = static_cast<std::size_t>(info.shape.back());
  TokenBlocks out{.context = context, .tokens = {}};
  for (std::size_t i = 0; length > 0 && i < tokens.size(); i += length) {
    append_blocks(std::span(tokens).subspan(i, length), out);
  }
  check_not_empty(out, file);
  return out;
}

}  // namespace llm
