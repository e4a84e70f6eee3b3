#pragma once

#include <sinq/types.hpp>

#include <span>
#include <string>
#include <vector>

namespace llm {

using sinq::Index;

/// A matrix of a model.
struct NamedMatrix {
  std::string name;  ///< of its tensor
  Index rows = 0, cols = 0;

  [[nodiscard]] double weights() const { return static_cast<double>(rows) * static_cast<double>(cols); }
};

/// "model.layers.3.mlp.experts.*.up_proj.weight" of each of these experts; empty of what is no expert.
[[nodiscard]] std::string experts_of(const std::string& tensor);

/// What matrices matter by their kind (query, key, value, output, gate, up, down, embeddings, head) and depth, for
/// models that nobody measured: means over `lm30m` and `lm1m`, each in units of its mean over the blocks' matrices.
/// So they say how to spend a budget, not what the model will lose. An expert counts as its share of all experts; a
/// matrix of another kind as many weights of known kinds do.
[[nodiscard]] std::vector<double> default_sensitivities(std::span<const NamedMatrix> matrices);

}  // namespace llm
