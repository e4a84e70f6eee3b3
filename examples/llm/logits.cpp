#include "llm/logits.hpp"

#include <sinq/io/finite.hpp>

namespace llm {

void read_logits(const Linear& head, const float* hidden, Index count, Index position, float* logits) {
  head.apply(hidden, count, logits);
  const Index vocab = head.weight->rows();
  const std::span<const float> values(logits, static_cast<std::size_t>(count * vocab));
  if (const auto bad = sinq::io::find_nonfinite(values)) {
    const auto i = static_cast<Index>(bad->at);
    throw sinq::Error(sinq::Errc::kBadData,
                      sinq::detail::text("position ", position + i / vocab, ": the logit of token ", i % vocab, " is ",
                                         bad->name, "; hidden states and head overflow float32"));
  }
}

double require_finite(const char* what, double value) {
  if (const auto bad = sinq::io::find_nonfinite(sinq::io::DType::kF64, std::as_bytes(std::span(&value, 1)))) {
    throw sinq::Error(sinq::Errc::kBadData, sinq::detail::text(what, " is ", bad->name));
  }
  return value;
}

}  // namespace llm
