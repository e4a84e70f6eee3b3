#pragma once

#include "llm/session.hpp"

#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

/// How the next token is chosen.
struct Sampling {
  double temperature = 0;  ///< 0: always the most likely token
  Index top_k = 0;         ///< only among the k most likely; 0: all
  std::uint64_t seed = 0;
};

/// Chooses tokens from logits; the same seed gives the same choices.
class Sampler {
 public:
  /// Throws kBadConfig.
  explicit Sampler(const Sampling& sampling);
  /// `logits` are finite.
  [[nodiscard]] Token operator()(std::span<const float> logits);

 private:
  Sampling sampling_;
  std::mt19937_64 random_;
};

/// Continues `prompt` by up to `count` tokens, or to an end token, or to the end of the session's room, and hands out
/// each as it comes. Throws kBadData if the prompt is empty, and as `read_logits`.
void generate(Session& session, const Model& model, std::span<const Token> prompt, Index count, Sampler& sampler,
              const std::function<void(Token)>& emit);

/// Holds back the bytes of characters that are not complete yet, because a token may end inside one.
class Utf8Stream {
 public:
  /// All complete characters of what was put in and not handed out yet. Bytes that cannot be UTF-8 pass at once.
  [[nodiscard]] std::string put(std::string_view bytes);
  /// What is left.
  [[nodiscard]] std::string finish() { return std::exchange(pending_, {}); }

 private:
  std::string pending_;
};

}  // namespace llm
