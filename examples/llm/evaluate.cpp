#include "llm/evaluate.hpp"

#include "llm/kernels.hpp"
#include "llm/logits.hpp"
#include "llm/parallel_for.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <mutex>

namespace llm {
namespace {

/// One session per worker, made when it is first needed.
class Sessions {
 public:
  Sessions(const Model& model, Index context, int threads) : model_(model), context_(context) {
    sessions_.resize(static_cast<std::size_t>(resolve_threads(threads)));
  }

  /// The final hidden states of a block.
  std::span<const float> read(int worker, std::span<const Token> block) {
    auto& session = sessions_[static_cast<std::size_t>(worker)];
    if (!session) session = std::make_unique<Session>(model_, context_);
    session->clear();
    return session->read(block);
  }

 private:
  const Model& model_;
  Index context_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

struct BlockSums {
  double log_likelihood = 0;
  double divergence = 0;
  Index flips = 0;
};

/// The most likely token; the first of several.
Index best_of(const float* logits, Index vocab) { return std::max_element(logits, logits + vocab) - logits; }

/// Sums over one block; `baseline` may be null.
BlockSums sum_block(const Model& model, std::span<const Token> block, const float* hidden, const Linear* baseline_head,
                    const float* baseline_hidden) {
  constexpr Index kChunk = 64;  // so that the logits of two models stay in the cache
  const Index width = model.config.hidden_size;
  const Index vocab = model.config.vocab_size;
  const auto count = static_cast<Index>(block.size());
  std::vector<float> logits(static_cast<std::size_t>(kChunk * vocab)), baseline_logits;
  if (baseline_hidden != nullptr) baseline_logits.resize(logits.size());
  BlockSums sums;
  for (Index start = 0; start < count; start += kChunk) {
    const Index rows = std::min(kChunk, count - start);
    read_logits(model.head, hidden + start * width, rows, start, logits.data());
    if (baseline_hidden != nullptr) {
      read_logits(*baseline_head, baseline_hidden + start * baseline_head->weight->cols(), rows, start,
                  baseline_logits.data());
    }
    for (Index r = 0; r < rows; ++r) {
      const float* row = logits.data() + r * vocab;
      double log_sum_exp = 0;
      if (baseline_hidden != nullptr) {
        const LogitSums both = kernels().compare_logits(baseline_logits.data() + r * vocab, row, vocab);
        log_sum_exp = both.log_sum_exp;
        sums.divergence += both.divergence;
        if (best_of(baseline_logits.data() + r * vocab, vocab) != best_of(row, vocab)) ++sums.flips;
      } else {
        log_sum_exp = kernels().log_sum_exp(row, vocab);
      }
      const Index next = start + r + 1;
      if (next < count) {
        sums.log_likelihood += static_cast<double>(row[block[static_cast<std::size_t>(next)]]) - log_sum_exp;
      }
    }
  }
  return sums;
}

}  // namespace

Baseline read_baseline(const Model& model, const TokenBlocks& blocks, Index count, int threads, const Step& step) {
  const Index used = count > 0 ? std::min(count, blocks.count()) : blocks.count();
  Baseline out{.head = model.head, .hidden = {}};
  out.hidden.resize(static_cast<std::size_t>(used));
  model.prepare(threads);
  Sessions sessions(model, blocks.context, threads);
  parallel_for(used, threads, [&](int worker, Index i) {
    const auto hidden = sessions.read(worker, blocks.block(i));
    out.hidden[static_cast<std::size_t>(i)].assign(hidden.begin(), hidden.end());
    if (step) step();
  });
  return out;
}

Evaluation evaluate(const Model& model, const TokenBlocks& blocks, const Baseline* baseline, int threads,
                    const Step& step) {
  model.prepare(threads);
  const auto start = std::chrono::steady_clock::now();
  if (baseline != nullptr && baseline->head.weight->rows() != model.config.vocab_size) {
    throw sinq::Error(sinq::Errc::kBadShape, "baseline: vocab_size " + std::to_string(baseline->head.weight->rows()) +
                                                 " is not the model's " + std::to_string(model.config.vocab_size));
  }
  const Index compared = baseline == nullptr ? 0 : static_cast<Index>(baseline->hidden.size());
  std::vector<BlockSums> sums(static_cast<std::size_t>(blocks.count()));
  Sessions sessions(model, blocks.context, threads);
  parallel_for(blocks.count(), threads, [&](int worker, Index i) {
    const auto hidden = sessions.read(worker, blocks.block(i));
    const bool compare = i < compared;
    sums[static_cast<std::size_t>(i)] =
        sum_block(model, blocks.block(i), hidden.data(), compare ? &baseline->head : nullptr,
                  compare ? baseline->hidden[static_cast<std::size_t>(i)].data() : nullptr);
    if (step) step();
  });

  // In the order of the blocks, so that the sums are the same for every number of threads.
  Evaluation out;
  BlockSums total;
  for (const BlockSums& block : sums) {
    total.log_likelihood += block.log_likelihood;
    total.divergence += block.divergence;
    total.flips += block.flips;
  }
  out.scored_tokens = blocks.count() * (blocks.context - 1);
  out.kl_positions = std::min(compared, blocks.count()) * blocks.context;
  const double loss = -total.log_likelihood / static_cast<double>(out.scored_tokens);
  out.perplexity = require_finite("perplexity", std::exp(require_finite("mean negative log-likelihood", loss)));
  if (out.kl_positions > 0) {
    const auto positions = static_cast<double>(out.kl_positions);
    out.kl = require_finite("kl", total.divergence / positions);
    out.flips = static_cast<double>(total.flips) / positions;
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace llm
