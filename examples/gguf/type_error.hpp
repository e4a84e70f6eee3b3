#pragma once

#include "gguf/content.hpp"
#include "gguf/importances.hpp"

#include <span>
#include <vector>

namespace gguf {

/// ||W' - W||^2 / ||W||^2 of a tensor of `content` as each of `types`: measured, on rows that lie evenly over it
/// (131072 weights, at least 16 rows of a matrix, at most 8 experts), columns weighed as when it is encoded. 0 where
/// all is zero. Throws kBadData, naming tensor, row and column, for weights that are not finite or that a type cannot
/// hold.
[[nodiscard]] std::vector<double> type_errors(const Content& content, std::size_t tensor,
                                              const Importances& importances, std::span<const GgufType> types);

}  // namespace gguf
