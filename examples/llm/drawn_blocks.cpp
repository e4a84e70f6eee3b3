#include "llm/drawn_blocks.hpp"

#include "llm/generate.hpp"
#include "llm/logits.hpp"
#include "llm/parallel_for.hpp"

#include <span>

namespace llm {
namespace {

/// Fills a block. What ends a text does not end the block: the model goes on as it does in texts that follow others.
void draw(const Model& model, std::uint64_t seed, std::span<Token> out) {
  Sampler sampler({.temperature = 1.0, .seed = seed});
  Session session(model, static_cast<Index>(out.size()));
  std::vector<float> logits(static_cast<std::size_t>(model.config.vocab_size));  // all alike: any token
  const auto& ends = model.config.end_tokens;
  out[0] = model.config.begin_token ? *model.config.begin_token : ends.empty() ? sampler(logits) : ends.front();
  for (std::size_t i = 1; i < out.size(); ++i) {
    const std::span<const float> hidden = session.read({&out[i - 1], 1});
    read_logits(model.head, hidden.data(), 1, session.position() - 1, logits.data());
    out[i] = sampler(logits);
  }
}

}  // namespace

TokenBlocks draw_blocks(const Model& model, Index count, Index context, std::uint64_t seed, int threads,
                        const Step& step) {
  TokenBlocks out{.context = context, .tokens = std::vector<Token>(static_cast<std::size_t>(count * context))};
  model.prepare(threads);
  parallel_for(count, threads, [&](int, Index i) {
    constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio: blocks of neighbouring seeds differ
    const std::span<Token> all(out.tokens);
    draw(model, seed + static_cast<std::uint64_t>(i) * kOdd,
         all.subspan(static_cast<std::size_t>(i * context), static_cast<std::size_t>(context)));
    if (step) step();
  });
  return out;
}

}  // namespace llm
