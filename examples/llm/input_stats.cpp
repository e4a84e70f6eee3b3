#include "llm/input_stats.hpp"

#include "llm/parallel_for.hpp"
#include "llm/session.hpp"

#include <algorithm>

namespace llm {
namespace {

/// Which of a block's inputs each of kBlockLinears reads: query, key and value share one, gate and up another.
constexpr std::array<std::size_t, kBlockLinears.size()> kInputOf{0, 0, 0, 1, 2, 2, 3};
constexpr std::size_t kInputs = 4;

bool reads_first(std::size_t linear) { return linear == 0 || kInputOf[linear] != kInputOf[linear - 1]; }

std::size_t index_of(LinearId id) { return static_cast<std::size_t>(id.layer) * kInputs + kInputOf[id.linear]; }

}  // namespace

const sinq::ActivationStats& InputStats::of(LinearId id) const { return stats_[index_of(id)]; }

InputStats InputStats::collect(const Model& model, const TokenBlocks& blocks, int threads, const Step& step) {
  model.require_finite_embeddings();
  // Sums are taken per share and merged in order, so that they do not depend on the number of threads.
  constexpr Index kShares = 4;
  const Index shares = std::min(kShares, blocks.count());
  std::vector<InputStats> parts(static_cast<std::size_t>(shares));
  parallel_for(shares, threads, [&](int, Index share) {
    auto& stats = parts[static_cast<std::size_t>(share)].stats_;
    for (const LinearId id : model.linears()) {
      if (reads_first(id.linear)) stats.emplace_back(model.linear(id).weight->cols());
    }
    Session session(model, blocks.context);
    session.observe([&](LinearId id, const float* x, const float*, Index count) {
      if (!reads_first(id.linear)) return;
      sinq::ActivationStats& seen = stats[index_of(id)];
      seen.add(sinq::MatrixView::row_major(x, sinq::ScalarType::kF32, count, seen.cols()));
    });
    for (Index i = share; i < blocks.count(); i += shares) {
      session.clear();
      session.read(blocks.block(i));
      if (step) step();
    }
  });
  InputStats out = std::move(parts.front());
  for (std::size_t share = 1; share < parts.size(); ++share) {
    for (std::size_t i = 0; i < out.stats_.size(); ++i) out.stats_[i].merge(parts[share].stats_[i]);
  }
  return out;
}

}  // namespace llm
