#include "quantize/conversion_plan.hpp"

#include <sinq/io/mapped_file.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/version.hpp>

#include "quantize/checksum.hpp"
#include "quantize/quantize_matrix.hpp"

#include <algorithm>
#include <span>

namespace convert {
namespace {

using sinq::io::TensorGroup;

/// A whole file is not read to know it: its ends and what lies evenly between them tell models apart.
std::string sample_checksum(std::span<const std::byte> bytes) {
  constexpr std::size_t kSample = 4096, kSamples = 256;
  if (bytes.size() <= kSample * kSamples) return checksum(bytes);
  Xxh64 hash;
  for (std::size_t i = 0; i < kSamples; ++i) {
    hash.update(bytes.subspan((bytes.size() - kSample) / (kSamples - 1) * i, kSample));
  }
  return hex(hash.digest());
}

TensorGroup group_of(const TensorTask& task) {
  const auto& info = task.source->info;
  if (!task.recipe) return {{{info.name, info.dtype, info.shape}}, {}};
  TensorGroup group{sinq::io::quantized_tensor_infos(info.name, task.layout), {}};
  group.metadata.insert(sinq::io::quantized_metadata(info.name, task.layout));
  return group;
}

}  // namespace

llm::Json input_identity(const sinq::io::Checkpoint& checkpoint) {
  llm::Json files = llm::Json::object();
  for (const auto& file : checkpoint.files()) {
    const auto mapping = sinq::io::MappedFile::open(file.name());
    files[std::filesystem::path(file.name()).filename().string()] = {
        {"bytes", mapping.bytes().size()}, {"samples_xxh64", sample_checksum(mapping.bytes())}};
  }
  return files;
}

ConversionPlan plan_conversion(const sinq::io::Checkpoint& checkpoint, const Selection& selection,
                               std::uint64_t max_shard_bytes) {
  if (const auto names = checkpoint.quantized_names(); !names.empty()) {
    throw sinq::Error(sinq::Errc::kUnsupported, names.front() + ": is quantized already");
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
        task.layout = layout_of(tensor.matrix_view(), plan.configs[*task.recipe]);
      } catch (const sinq::Error& error) {
        throw sinq::Error(error.code(), tensor.info.name + ": " + error.what());
      }
      tensor.file.release(tensor.info);  // a gate has read it
    }
    groups.push_back(group_of(task));
    plan.tasks.push_back(task);
  }
  // What transformers asks of a header, and what says that this is a quantized file.
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  metadata.insert(sinq::io::quantized_version_metadata());
  plan.files = sinq::io::plan_checkpoint(groups, max_shard_bytes, metadata);

  std::string headers;
  for (const auto& shard : plan.files.shards) headers += checksum(std::as_bytes(std::span(shard.content.header)));
  const auto number = [](int value) { return std::to_string(value); };
  plan.identity = {
      {"version", number(SINQ_VERSION_MAJOR) + "." + number(SINQ_VERSION_MINOR) + "." + number(SINQ_VERSION_PATCH)},
      {"settings", selection.to_json()},
      {"shards", plan.files.shards.size()},
      {"headers_xxh64", checksum(std::as_bytes(std::span(headers)))},
      {"input", input_identity(checkpoint)}};
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
