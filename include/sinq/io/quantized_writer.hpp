#pragma once

#include <sinq/io/metadata.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// A quantized matrix and the name of the tensor that it stands for; the bytes stay with the caller.
struct NamedMatrix {
  std::string name;
  QuantizedView matrix;
};

/// Writes one safetensors file with `matrices`, and with `others` as they are; see include/sinq/io/README.md. The same
/// contents give the same bytes. Throws what `write_safetensors` and `quantized_tensor_bytes` throw.
inline void write_quantized(const std::filesystem::path& target, std::span<const NamedMatrix> matrices,
                            std::span<const TensorData> others = {}, Metadata metadata = {}) {
  std::vector<TensorData> tensors(others.begin(), others.end());
  for (const auto& [name, matrix] : matrices) {
    auto [key, text] = quantized_metadata(name, matrix.layout());
    metadata.insert_or_assign(std::move(key), std::move(text));
    std::vector<TensorInfo> infos = quantized_tensor_infos(name, matrix.layout());
    const auto bytes = quantized_tensor_bytes(matrix);
    for (std::size_t i = 0; i < infos.size(); ++i) {
      tensors.push_back({std::move(infos[i].name), infos[i].dtype, std::move(infos[i].shape), bytes[i]});
    }
  }
  auto [key, text] = quantized_version_metadata();
  metadata.insert_or_assign(std::move(key), std::move(text));
  write_safetensors(target, tensors, metadata);
}

}  // namespace sinq::inline SINQ_ABI::io
