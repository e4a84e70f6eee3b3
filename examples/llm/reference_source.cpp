#include "llm/reference_source.hpp"

#include <sinq/io/reference_checkpoint.hpp>

#include "llm/checkpoint_source.hpp"

namespace llm {

std::shared_ptr<const TensorSource> open_reference_source(const std::filesystem::path& folder) {
  auto files = sinq::io::ReferenceCheckpoint::open(folder);
  std::map<std::string, sinq::QuantizedMatrix, std::less<>> matrices;
  for (const auto& layer : files.layers()) matrices.emplace(layer.name + ".weight", files.quantized(layer.name));
  std::set<std::string> parts;
  for (const auto& tensor : files.files().tensors()) parts.insert(tensor.info.name);
  for (const auto* tensor : files.plain_tensors()) parts.erase(tensor->info.name);
  return std::make_shared<CheckpointSource>(std::move(files).take_files(), std::move(matrices), std::move(parts));
}

}  // namespace llm
