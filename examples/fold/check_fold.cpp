#include "fold/check_fold.hpp"

#include "llm/kernels.hpp"
#include "llm/logits.hpp"
#include "llm/parallel_for.hpp"
#include "llm/session.hpp"

#include <algorithm>
#include <cmath>

namespace fold_program {

using sinq::Index;

Difference compare(const llm::Model& original, const llm::Model& other, const llm::TokenBlocks& blocks, int threads) {
  constexpr Index kChunk = 64;  // positions whose logits are in memory at once
  const Index vocab = original.config.vocab_size, width = original.config.hidden_size;
  std::vector<Difference> parts(static_cast<std::size_t>(blocks.count()));
  llm::parallel_for(blocks.count(), threads, [&](int, Index i) {
    const auto tokens = blocks.block(i);
    llm::Session session(original, blocks.context), other_session(other, blocks.context);
    const float* hidden = session.read(tokens).data();
    const float* other_hidden = other_session.read(tokens).data();
    std::vector<float> logits(static_cast<std::size_t>(kChunk * vocab)), other_logits(logits.size());
    Difference& part = parts[static_cast<std::size_t>(i)];
    for (Index t = 0; t < blocks.context; t += kChunk) {
      const Index count = std::min(kChunk, blocks.context - t);
      llm::read_logits(original.head, hidden + t * width, count, t, logits.data());
      llm::read_logits(other.head, other_hidden + t * width, count, t, other_logits.data());
      for (Index r = 0; r < count; ++r) {
        const float* a = logits.data() + r * vocab;
        const float* b = other_logits.data() + r * vocab;
        part.kl += llm::kernels().compare_logits(a, b, vocab).divergence;
        for (Index v = 0; v < vocab; ++v) {
          part.largest_logit =
              std::max(part.largest_logit, std::abs(static_cast<double>(a[v]) - static_cast<double>(b[v])));
        }
      }
    }
  });
  Difference out;
  for (const Difference& part : parts) {
    out.kl += part.kl;
    out.largest_logit = std::max(out.largest_logit, part.largest_logit);
  }
  out.positions = blocks.count() * blocks.context;
  out.kl = llm::require_finite("kl", out.kl / static_cast<double>(out.positions));
  return out;
}

}  // namespace fold_program
