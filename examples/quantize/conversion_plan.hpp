#pragma once

#include <sinq/io/checkpoint.hpp>
#include <sinq/io/checkpoint_plan.hpp>
#include <sinq/quantized_matrix.hpp>

#include "llm/json_file.hpp"
#include "quantize/selection.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace convert {

using sinq::Index;

/// What becomes of one tensor.
struct TensorTask {
  const sinq::io::Checkpoint::Tensor* source = nullptr;
  std::optional<std::size_t> recipe;  ///< of the plan; none: copied
  sinq::Layout layout{};              ///< of the quantized tensor

  [[nodiscard]] std::uint64_t source_bytes() const { return source->info.end - source->info.begin; }
  /// In elements; 0 of a tensor that is copied.
  [[nodiscard]] Index weights() const { return recipe ? layout.rows * layout.cols : 0; }
};

/// Everything about a conversion that is known before any weight was quantized: what is done to each tensor, where
/// every byte of the result will stand, and a description of both that decides whether two runs make the same bytes.
struct ConversionPlan {
  std::vector<Recipe> recipes;
  std::vector<sinq::AnyConfig> configs;  ///< of the recipes
  std::vector<TensorTask> tasks;         ///< in the order of the input; task i is group i of `files`
  sinq::io::CheckpointPlan files;
  llm::Json identity;
};

/// Plans. Reads headers, and the weights only for a kurtosis gate. `checkpoint` must outlive the plan.
/// Throws kBadConfig, kBadShape (with the tensor's name), kUnsupported for a checkpoint that is quantized already.
[[nodiscard]] ConversionPlan plan_conversion(const sinq::io::Checkpoint& checkpoint, const Selection& selection,
                                             std::uint64_t max_shard_bytes);

/// The part, counted from 0 to parts - 1, that works on each shard: neighbours together, by the size of their input.
[[nodiscard]] std::vector<std::size_t> split(const ConversionPlan& plan, std::size_t parts);

}  // namespace convert
