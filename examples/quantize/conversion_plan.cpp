#include "quantize/conversion_plan.hpp"

#include <sinq/any_config.hpp>
#include <sinq/io/plain_tensor.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/version.hpp>

#include "common/checksum.hpp"
#include "llm/model_identity.hpp"

#include <algorithm>
#include <span>

namespace convert {
namespace {

using sinq::io::TensorGroup;

TensorGroup group_of(const TensorTask& task) {
  const auto& info = task.source->info;
  if (!task.recipe) return {{sinq::io::plain_info(*task.source)}, {}};
  TensorGroup group{sinq::io::quantized_tensor_infos(info.name, task.layout), {}};
  group.metadata.insert(sinq::io::quantized_metadata(info.name, task.layout));
  return group;
}

}  // namespace

ConversionPlan plan_conversion(const sinq::io::Checkpoint& checkpoint, const Selection& selection,
                               std::uint64_t max_shard_bytes) {
  if (const auto names = checkpoint.quantized_names(); !names.empty()) {
    throw sinq::Error(sinq::Errc::kUnsupported,
                      "tensor " + sinq::io::detail::name_text(names.front()) + " is quantized already");
  }
  ConversionPlan plan;
  plan.recipes = selection.recipes;
  for (const Recipe& recipe : plan.recipes) plan.configs.push_back(llm::to_config(recipe.settings));
  std::vector<TensorGroup> groups;
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const auto& tensor = checkpoint.tensors()[i];
    TensorTask task{.source = &tensor, .recipe = selection.recipe_of[i]};
    if (task.recipe) {
      try {
        task.layout = sinq::layout_for(tensor.matrix_view(), plan.configs[*task.recipe]);
      } catch (const sinq::Error& error) {
        throw sinq::Error(error.code(),
                          "tensor " + sinq::io::detail::name_text(tensor.info.name) + ": " + error.what());
      }
      tensor.release();  // a gate has read it
    }
    groups.push_back(group_of(task));
    plan.tasks.push_back(task);
  }
  // What transformers asks of a header, and what says that this is a quantized file.
  sinq::io::Metadata metadata{{"format", "pt"}};
  metadata.insert(sinq::io::quantized_version_metadata());
  plan.files = sinq::io::plan_checkpoint(groups, max_shard_bytes, metadata);

  std::string headers;
  for (const auto& shard : plan.files.shards)
    headers += common::checksum(std::as_bytes(std::span(shard.content.header)));
  const auto number = [](int value) { return std::to_string(value); };
  plan.identity = {
      {"version", number(SINQ_VERSION_MAJOR) + "." + number(SINQ_VERSION_MINOR) + "." + number(SINQ_VERSION_PATCH)},
      {"settings", selection.settings()},
      {"include", selection.include},
      {"exclude", selection.exclude},
      {"shards", plan.files.shards.size()},
      {"tensors_xxh64", common::checksum(std::as_bytes(std::span(headers)))},
      {"input", llm::model_identity(checkpoint)}};
  for (const auto& allocation : selection.allocations) {
    plan.identity["allocations"].push_back(llm::to_json(*allocation));
  }
  return plan;
}

std::vector<std::size_t> split(const ConversionPlan& plan, std::size_t parts) {
  std::vector<std::uint64_t> bytes;
  std::uint64_t total = 0;
  for (const auto& shard : plan.files.shards) {
    std::uint64_t sum = 1;  // a shard without bytes has a place too
    for (const std::size_t task : shard.groups) sum += plan.tasks[task].source_bytes();
    bytes.push_back(sum);
    total += sum;
  }
  // A shard belongs to the part in whose share of all bytes its middle lies.
  std::vector<std::size_t> out;
  std::uint64_t before = 0;
  for (const std::uint64_t size : bytes) {
    const double middle = static_cast<double>(before) + static_cast<double>(size) / 2;
    const double part = middle / static_cast<double>(total) * static_cast<double>(parts);
    out.push_back(std::min(parts - 1, static_cast<std::size_t>(part)));
    before += size;
  }
  return out;
}

}  // namespace convert
