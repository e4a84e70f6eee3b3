#pragma once

#include <sinq/error.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/safetensors_writer.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// Tensors that stay in one file, such as the regions of a quantized matrix, and what its header says about them.
struct TensorGroup {
  std::vector<TensorInfo> tensors;  ///< name, dtype, shape
  Metadata metadata;                ///< joins the header's "__metadata__"
};

/// One file of a checkpoint that is to be written.
struct ShardPlan {
  std::string file;  ///< its name in the folder
  SafetensorsPlan content;
  std::vector<std::size_t> groups;  ///< those in it, as they were given
};

/// Where everything goes in a checkpoint that is to be written; nothing has been written yet.
struct CheckpointPlan {
  std::vector<ShardPlan> shards;

  /// Sizes of all shards, headers included.
  [[nodiscard]] std::uint64_t file_bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& shard : shards) sum += shard.content.file_bytes();
    return sum;
  }
  /// Sizes of all tensors.
  [[nodiscard]] std::uint64_t tensor_bytes() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& shard : shards) sum += shard.content.file_bytes() - shard.content.header.size();
    return sum;
  }
  /// The text of model.safetensors.index.json; nothing if there is one shard, which needs none.
  [[nodiscard]] std::string index() const { return shards.size() < 2 ? std::string() : full_index(); }
  /// The same, whatever the number of shards.
  [[nodiscard]] std::string full_index() const {
    detail::Json json{{"metadata", {{"total_size", tensor_bytes()}}}, {"weight_map", detail::Json::object()}};
    for (const auto& shard : shards) {
      for (const auto& tensor : shard.content.tensors) json["weight_map"][tensor.name] = shard.file;
    }
    return json.dump(2) + "\n";
  }
};

/// What a shard, counted from 0, is called: "model.safetensors", or "model-00002-of-00003.safetensors" of several.
[[nodiscard]] inline std::string shard_name(std::size_t shard, std::size_t count) {
  if (count == 1) return std::string(kSingleFile);
  const auto digits = [](std::size_t value) {
    std::string text = std::to_string(value);
    if (text.size() < 5) text.insert(0, 5 - text.size(), '0');
    return text;
  };
  return "model-" + digits(shard + 1) + "-of-" + digits(count) + ".safetensors";
}

namespace detail {

[[nodiscard]] inline std::uint64_t group_bytes(const TensorGroup& group) {
  std::uint64_t sum = 0;
  for (const auto& tensor : group.tensors) {
    const auto size = tensor_bytes(tensor.dtype, tensor.shape);
    if (!size || *size > std::numeric_limits<std::uint64_t>::max() / 2 - sum) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("checkpoint: tensor ", name_text(tensor.name), ": shape ",
                                                     shape_text(tensor.shape), " is not possible"));
    }
    sum += *size;
  }
  return sum;
}

}  // namespace detail

/// Spreads groups of tensors, in the order given, over files of at most `max_shard_bytes` of tensors each (a larger
/// group has a file of its own), named as Hugging Face names them; there is always at least one file. `metadata` stands
/// in every header beside that of the groups. Within a file, tensors are placed by `plan_safetensors`.
/// Throws Errc::kBadConfig for names or keys that stand twice, Errc::kBadShape for an impossible shape.
[[nodiscard]] inline CheckpointPlan plan_checkpoint(std::span<const TensorGroup> groups, std::uint64_t max_shard_bytes,
                                                    const Metadata& metadata = {}) {
  CheckpointPlan plan;
  plan.shards.emplace_back();
  std::uint64_t filled = 0;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::uint64_t bytes = detail::group_bytes(groups[i]);
    if (!plan.shards.back().groups.empty() && bytes > max_shard_bytes - std::min(max_shard_bytes, filled)) {
      plan.shards.emplace_back();
      filled = 0;
    }
    plan.shards.back().groups.push_back(i);
    filled += bytes;
    for (const auto& tensor : groups[i].tensors) names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto same = std::adjacent_find(names.begin(), names.end());
  if (same != names.end()) {
    SINQ_THROW(Errc::kBadConfig, sinq::detail::text("checkpoint: tensor ", detail::name_text(*same), " stands twice"));
  }
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    ShardPlan& shard = plan.shards[i];
    shard.file = shard_name(i, plan.shards.size());
    std::vector<TensorInfo> tensors;
    Metadata texts = metadata;
    for (const std::size_t group : shard.groups) {
      tensors.insert(tensors.end(), groups[group].tensors.begin(), groups[group].tensors.end());
      for (const auto& [key, value] : groups[group].metadata) {
        if (!texts.emplace(key, value).second) {
          SINQ_THROW(Errc::kBadConfig,
                     sinq::detail::text("checkpoint: metadata ", detail::name_text(key), " stands twice"));
        }
      }
    }
    shard.content = plan_safetensors(std::move(tensors), texts);
  }
  return plan;
}

}  // namespace sinq::inline SINQ_ABI::io
