#pragma once

#include <sinq/io/gguf_value.hpp>

#include "llm/json_file.hpp"

#include <optional>
#include <string>
#include <vector>

namespace llm {

/// Metadata of GGUF files, said as the JSON files of a Hugging Face folder say it: so everything that reads those reads
/// GGUF files too.

/// What config.json would say; `tied_head` says whether the file has no head of its own. Throws kUnsupported for an
/// architecture other than qwen3, llama and qwen2 and for rotary embeddings other than the plain one; kBadFile for
/// missing keys.
[[nodiscard]] Json config_from_gguf(const sinq::io::GgufMetadata& metadata, bool tied_head);

/// What tokenizer.json would say. Throws kUnsupported for tokenizers that are not byte-level BPE and for unknown
/// pre-tokenizers.
[[nodiscard]] Json tokenizer_from_gguf(const sinq::io::GgufMetadata& metadata);

/// How llama.cpp cuts text into pieces.
struct GgufPreTokenizer {
  std::string name;                   ///< tokenizer.ggml.pre
  std::vector<std::string> patterns;  ///< applied one after the other
  bool ignore_merges = false;         ///< a piece that is a token needs no merging
  bool normal_form_c = false;         ///< what tokenizer.json of such models asks for
};
/// Those that are known: gpt-2, qwen2, llama-bpe.
[[nodiscard]] const std::vector<GgufPreTokenizer>& gguf_pre_tokenizers();

/// Kinds of tokens, in tokenizer.ggml.token_type.
enum class GgufTokenType : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

}  // namespace llm
