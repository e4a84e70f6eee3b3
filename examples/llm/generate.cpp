#include "llm/generate.hpp"

#include <sinq/finite.hpp>

#include "llm/logits.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace llm {

Sampler::Sampler(const Sampling& sampling) : sampling_(sampling), random_(sampling.seed) {
  if (!sinq::is_not_negative(sampling.temperature)) {
    throw sinq::Error(sinq::Errc::kBadConfig, "temperature is not 0 or positive");
  }
  if (sampling.top_k < 0) throw sinq::Error(sinq::Errc::kBadConfig, "top-k is negative");
}

Token Sampler::operator()(std::span<const float> logits) {
  const auto logit = [&](Token token) { return static_cast<double>(logits[static_cast<std::size_t>(token)]); };
  const auto more_likely = [&](Token a, Token b) { return logit(a) > logit(b) || (logit(a) == logit(b) && a < b); };
  std::vector<Token> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const Token best = *std::min_element(order.begin(), order.end(), more_likely);
  if (sampling_.temperature == 0) return best;
  const auto k = static_cast<std::size_t>(sampling_.top_k);
  if (k > 0 && k < order.size()) {
    std::nth_element(order.begin(), order.begin() + sampling_.top_k - 1, order.end(), more_likely);
    order.resize(k);
    std::sort(order.begin(), order.end(), more_likely);  // the same order with every standard library
  }
  std::vector<double> cumulative;
  double total = 0;
  for (const Token token : order) {
    total += std::exp((logit(token) - logit(best)) / sampling_.temperature);
    cumulative.push_back(total);
  }
  // 53 random bits; std::uniform_real_distribution differs between standard libraries.
  const double at = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  const auto it = std::upper_bound(cumulative.begin(), cumulative.end(), at);
  return order[std::min(static_cast<std::size_t>(it - cumulative.begin()), order.size() - 1)];
}

void generate(Session& session, const Model& model, std::span<const Token> prompt, Index count, Sampler& sampler,
              const std::function<void(Token)>& emit) {
  if (prompt.empty()) throw sinq::Error(sinq::Errc::kBadData, "the prompt has no tokens");
  const Index width = model.config.hidden_size;
  std::vector<float> logits(static_cast<std::size_t>(model.config.vocab_size));
  std::span<const float> hidden = session.read(prompt);
  for (Index i = 0; i < count; ++i) {
    read_logits(model.head, hidden.data() + hidden.size() - width, 1, session.position() - 1, logits.data());
    const Token token = sampler(logits);
    const auto& ends = model.config.end_tokens;
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) return;
    emit(token);
    if (i + 1 == count || session.position() == session.capacity()) return;
    hidden = session.read({&token, 1});
  }
}

std::string Utf8Stream::put(std::string_view bytes) {
  pending_ += bytes;
  // The last character starts at most three bytes before the end.
  std::size_t complete = pending_.size();
  for (std::size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
    const auto byte = static_cast<unsigned char>(pending_[pending_.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (length > back) complete = pending_.size() - back;
    break;
  }
  std::string out = pending_.substr(0, complete);
  pending_.erase(0, complete);
  return out;
}

}  // namespace llm
