#include "llm/tokenizer.hpp"

#include "llm/unicode_nfc.hpp"

#include <functional>
#include <optional>
#include <queue>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace llm {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw sinq::Error(sinq::Errc::kUnsupported, "tokenizer.json: " + what + " is not supported");
}

[[noreturn]] void bad_tokenizer(const std::string& what) {
  throw sinq::Error(sinq::Errc::kBadFile, "tokenizer.json: " + what);
}

std::uint64_t pair_key(Token left, Token right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

/// GPT-2 writes bytes as printable characters: those that are printable in Latin-1 as themselves, the others, in order,
/// as U+0100 and up. Index: code point; value: byte, or -1.
std::vector<int> bytes_of_code_points() {
  std::vector<int> bytes(256 + 68, -1);
  std::size_t next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    bytes[printable ? static_cast<std::size_t>(b) : next++] = b;
  }
  return bytes;
}

/// The bytes that a vocabulary entry stands for; all its characters are below U+0144, so two UTF-8 bytes at most.
std::string to_bytes(const std::string& entry) {
  static const std::vector<int> bytes = bytes_of_code_points();
  std::string out;
  for (std::size_t i = 0; i < entry.size(); ++i) {
    std::size_t code = static_cast<unsigned char>(entry[i]);
    if (code >= 0x80 && i + 1 < entry.size()) {
      const std::size_t next = static_cast<unsigned char>(entry[++i]);
      code = (code & 0xe0) == 0xc0 ? (code & 0x1f) << 6 | (next & 0x3f) : bytes.size();
    }
    if (code >= bytes.size() || bytes[code] < 0) bad_tokenizer("vocab entry \"" + entry + "\" is not byte-level");
    out += static_cast<char>(bytes[code]);
  }
  return out;
}

/// The two halves of a merge, which is ["a", "b"] or, in older files, "a b".
std::pair<std::string, std::string> halves(const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {to_bytes(merge[0].get<std::string>()), to_bytes(merge[1].get<std::string>())};
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const auto space = text.find(' ');
    if (space != std::string::npos) return {to_bytes(text.substr(0, space)), to_bytes(text.substr(space + 1))};
  }
  bad_tokenizer("merge " + merge.dump() + " is not a pair");
}

/// Whether the tokenizer wants text in normal form C; other normalizers are refused.
bool wants_normal_form_c(const Json& description) {
  if (!has(description, "normalizer")) return false;
  const auto type = required<std::string>(description["normalizer"], "type");
  if (type != "NFC") refuse("normalizer " + type);
  return true;
}

}  // namespace

Tokenizer Tokenizer::open(const std::filesystem::path& folder) {
  const auto path = folder / "tokenizer.json";
  const Json description = read_json(path);
  try {
    return Tokenizer(description);
  } catch (const sinq::Error& e) {
    throw sinq::Error(e.code(), folder.string() + ": " + e.what());
  }
}

Tokenizer::Tokenizer(const Json& description)
    : pre_tokenizer_(PreTokenizer::from_json(value_or(description, "pre_tokenizer", Json()))),
      normal_form_c_(wants_normal_form_c(description)) {
  const auto model = required<Json>(description, "model");
  const auto type = value_or<std::string>(model, "type", "BPE");
  if (type != "BPE") refuse("model type " + type);
  for (const char* key : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!value_or<std::string>(model, key, "").empty()) refuse("model " + std::string(key));
  }
  if (value_or(model, "dropout", 0.0) != 0.0) refuse("model dropout");
  if (value_or(model, "byte_fallback", false)) refuse("model byte_fallback");
  ignore_merges_ = value_or(model, "ignore_merges", false);

  // An added token may also stand in the vocabulary, written as it is and not byte by byte.
  std::unordered_set<std::string> added;
  for (const Json& token : value_or(description, "added_tokens", Json::array())) {
    for (const char* key : {"lstrip", "rstrip", "single_word"}) {
      if (value_or(token, key, false)) refuse("added token with " + std::string(key));
    }
    added_.push_back({required<std::string>(token, "content"), required<Token>(token, "id")});
    if (added_.back().text.empty()) bad_tokenizer("added token without content");
    added.insert(added_.back().text);
  }
  const auto vocabulary = required<Json>(model, "vocab");
  for (const auto& [entry, id] : vocabulary.items()) {
    if (!id.is_number_integer()) bad_tokenizer("vocab entry \"" + entry + "\" has no id");
    if (!added.contains(entry)) add_to_vocabulary(id.get<Token>(), to_bytes(entry));
  }
  for (const AddedToken& token : added_) vocabulary_[token.id] = token.text;

  for (int b = 0; b < 256; ++b) {
    const auto it = ids_.find(std::string(1, static_cast<char>(b)));
    if (it == ids_.end()) bad_tokenizer("vocab has no token for byte " + std::to_string(b));
    byte_tokens_[b] = it->second;
  }
  std::int32_t rank = 0;
  for (const Json& merge : required<Json>(model, "merges")) {
    const auto [left, right] = halves(merge);
    const auto l = ids_.find(left), r = ids_.find(right), result = ids_.find(left + right);
    if (l == ids_.end() || r == ids_.end() || result == ids_.end()) {
      bad_tokenizer("merge " + merge.dump() + " is not in the vocabulary");
    }
    merges_.try_emplace(pair_key(l->second, r->second), Merge{rank++, result->second});
  }
}

void Tokenizer::add_to_vocabulary(Token id, std::string bytes) {
  if (id < 0 || !vocabulary_.try_emplace(id, bytes).second) {
    bad_tokenizer("token id " + std::to_string(id) + " is used twice");
  }
  ids_.emplace(std::move(bytes), id);
}

std::vector<Token> Tokenizer::encode(std::string_view text) const {
  std::vector<Token> out;
  std::vector<std::size_t> next(added_.size());  // where each added token stands next
  for (std::size_t i = 0; i < added_.size(); ++i) next[i] = text.find(added_[i].text);
  std::size_t done = 0;
  while (done < text.size()) {
    // The leftmost added token, the longest of several.
    std::size_t at = std::string_view::npos;
    std::size_t best = 0;
    for (std::size_t i = 0; i < added_.size(); ++i) {
      if (next[i] != std::string_view::npos && next[i] < done) next[i] = text.find(added_[i].text, done);
      if (next[i] < at ||
          (next[i] == at && at != std::string_view::npos && added_[i].text.size() > added_[best].text.size())) {
        at = next[i];
        best = i;
      }
    }
    encode_plain(text.substr(done, at == std::string_view::npos ? at : at - done), out);
    if (at == std::string_view::npos) break;
    out.push_back(added_[best].id);
    done = at + added_[best].text.size();
  }
  return out;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<Token>& out) const {
  const std::string normal = normal_form_c_ ? to_nfc(text) : std::string();
  if (normal_form_c_) text = normal;
  std::unordered_map<std::string_view, std::vector<Token>> seen;  // most pieces of a text are words it has had before
  for (const std::string_view piece : pre_tokenizer_.split(text)) {
    auto it = seen.find(piece);
    if (it == seen.end()) it = seen.emplace(piece, encode_piece(piece)).first;
    out.insert(out.end(), it->second.begin(), it->second.end());
  }
}

std::vector<Token> Tokenizer::encode_piece(std::string_view piece) const {
  if (ignore_merges_) {
    if (const auto it = ids_.find(std::string(piece)); it != ids_.end()) return {it->second};
  }
  // Symbols form a linked list; candidate pairs wait in a queue by rank, then position. A pair that has changed since
  // it was queued is dropped when it comes up.
  constexpr std::size_t kEnd = static_cast<std::size_t>(-1);
  struct Symbol {
    Token token;
    std::size_t previous, next;
  };
  std::vector<Symbol> symbols(piece.size());
  for (std::size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = {byte_tokens_[static_cast<unsigned char>(piece[i])], i == 0 ? kEnd : i - 1,
                  i + 1 == piece.size() ? kEnd : i + 1};
  }
  using Candidate = std::tuple<std::int32_t, std::size_t, Token, Token, Token>;  // rank, position, left, right, result
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](std::size_t i) {
    if (i == kEnd || symbols[i].next == kEnd) return;
    const Token left = symbols[i].token, right = symbols[symbols[i].next].token;
    if (const auto it = merges_.find(pair_key(left, right)); it != merges_.end()) {
      queue.emplace(it->second.rank, i, left, right, it->second.result);
    }
  };
  for (std::size_t i = 0; i < symbols.size(); ++i) consider(i);
  constexpr Token kGone = -1;
  while (!queue.empty()) {
    const auto [rank, i, left, right, result] = queue.top();
    queue.pop();
    const std::size_t j = symbols[i].next;
    if (symbols[i].token != left || j == kEnd || symbols[j].token != right) continue;
    symbols[i].token = result;
    symbols[i].next = symbols[j].next;
    symbols[j].token = kGone;
    if (symbols[i].next != kEnd) symbols[symbols[i].next].previous = i;
    consider(symbols[i].previous);
    consider(i);
  }
  std::vector<Token> out;
  for (std::size_t i = symbols.empty() ? kEnd : 0; i != kEnd; i = symbols[i].next) out.push_back(symbols[i].token);
  return out;
}

const std::string& Tokenizer::bytes(Token token) const {
  const auto it = vocabulary_.find(token);
  if (it == vocabulary_.end()) {
    throw sinq::Error(sinq::Errc::kBadData, "token id " + std::to_string(token) + " is not in the vocabulary");
  }
  return it->second;
}

std::string Tokenizer::decode(std::span<const Token> tokens) const {
  std::string out;
  for (const Token token : tokens) out += bytes(token);
  return out;
}

}  // namespace llm
