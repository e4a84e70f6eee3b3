#pragma once

#include "llm/linear.hpp"

namespace llm {

/// The logits [count, vocab] of `count` hidden states [count, hidden], of which the first stands at `position`. Throws
/// kBadData, naming position and token, if one is not finite: what is computed from such would mean nothing.
void read_logits(const Linear& head, const float* hidden, Index count, Index position, float* logits);

/// `value`, called `what`. Throws kBadData if it is not finite.
double require_finite(const char* what, double value);

}  // namespace llm
