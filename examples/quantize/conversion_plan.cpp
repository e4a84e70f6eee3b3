#include "quantize/conversion_plan.hpp"

#include <sinq/any_config.hpp>
#include <sinq/io/plain_tensor.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/version.hpp>

#include "quantize/checksum.hpp"

#include <algorithm>
#include <fstream>
#include <span>

namespace convert {
namespace {

using sinq::io::TensorGroup;

/// Size and checksum of samples: a whole file is not read to know it; its ends and what lies evenly between them tell
/// models apart. Not mapped, because that loads far more than is touched.
llm::Json identity_of(const std::string& path) {
  constexpr std::uint64_t kSample = 4096, kSamples = 256;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> sample(kSample);
  const std::uint64_t bytes = std::filesystem::file_size(path);
  const bool small = bytes <= kSample * kSamples;
  const std::uint64_t samples = small ? (bytes + kSample - 1) / kSample : kSamples;
  Xxh64 hash;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t at = small ? kSample * i : (bytes - kSample) * i / (kSamples - 1);
    const std::uint64_t size = std::min(kSample, bytes - at);
    file.seekg(static_cast<std::streamoff>(at));
    if (!file.read(sample.data(), static_cast<std::streamsize>(size))) {
      throw sinq::Error(sinq::Errc::kIo, path + ": cannot be read at byte " + std::to_string(at));
    }
    hash.update(std::as_bytes(std::span(sample).first(static_cast<std::size_t>(size))));
  }
  return {{"bytes", bytes}, {"samples_xxh64", hex(hash.digest())}};
}

TensorGroup group_of(const TensorTask& task) {
  const auto& info = task.source->info;
  if (!task.recipe) return {{sinq::io::plain_info(*task.source)}, {}};
  TensorGroup group{sinq::io::quantized_tensor_infos(info.name, task.layout), {}};
  group.metadata.insert(sinq::io::quantized_metadata(info.name, task.layout));
  return group;
}

}  // namespace

llm::Json input_identity(const sinq::io::Checkpoint& checkpoint) {
  llm::Json files = llm::Json::object();
  for (const auto& file : checkpoint.files()) {
    files[std::filesystem::path(file.name()).filename().string()] = identity_of(file.name());
  }
  return files;
}

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
  int version = 1;
  for (const TensorTask& task : plan.tasks) {
    if (task.recipe) version = std::max(version, sinq::io::quantized_version(task.layout));
  }
  metadata.insert(sinq::io::quantized_version_metadata(version));
  plan.files = sinq::io::plan_checkpoint(groups, max_shard_bytes, metadata);

  std::string headers;
  for (const auto& shard : plan.files.shards) headers += checksum(std::as_bytes(std::span(shard.content.header)));
  const auto number = [](int value) { return std::to_string(value); };
  plan.identity = {
      {"version", number(SINQ_VERSION_MAJOR) + "." + number(SINQ_VERSION_MINOR) + "." + number(SINQ_VERSION_PATCH)},
      {"settings", selection.settings()},
      {"include", selection.include},
      {"exclude", selection.exclude},
      {"shards", plan.files.shards.size()},
      {"tensors_xxh64", checksum(std::as_bytes(std::span(headers)))},
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
