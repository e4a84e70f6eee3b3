#pragma once

#include <sinq/block_formats/block_format.hpp>
#include <sinq/fold/search.hpp>

#include "fold/fold_model.hpp"
#include "llm/model.hpp"
#include "llm/token_blocks.hpp"

namespace fold_program {

/// What a search makes small.
enum class SearchLoss {
  kLayer,       ///< the error of all linear layers' outputs, relative, on the original model's inputs
  kDivergence,  ///< KL(original || quantized)
};

/// Tries the grid around `base`: each candidate is folded, its linear layers quantized to `format`, and measured on
/// `blocks`. Throws kBadShape if a layer's columns are no whole blocks.
[[nodiscard]] sinq::fold::SearchResult search_scales(const Source& source, const llm::Model& original,
                                                     const sinq::fold::ScaleOptions& base, sinq::BlockFormat format,
                                                     SearchLoss loss, const llm::TokenBlocks& blocks, int threads);

}  // namespace fold_program
