#pragma once

#include <sinq/half.hpp>
#include <sinq/io/reference_checkpoint.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sinq::test {

/// A checkpoint of the reference in memory, to be spoilt and read.
class ReferenceFiles {
 public:
  struct Tensor {
    std::string name;
    io::DType dtype;
    std::vector<Index> shape;
    std::vector<std::byte> bytes;
  };

  std::vector<Tensor> tensors;
  nlohmann::ordered_json sidecar = nlohmann::ordered_json::object();

  void add(const std::string& name, io::DType dtype, std::vector<Index> shape, std::span<const std::byte> bytes) {
    tensors.push_back({name, dtype, std::move(shape), {bytes.begin(), bytes.end()}});
  }
  /// Numbers as F32 or F16.
  void add(const std::string& name, io::DType dtype, std::vector<Index> shape, const std::vector<float>& values) {
    if (dtype == io::DType::kF32) return add(name, dtype, std::move(shape), std::as_bytes(std::span(values)));
    std::vector<std::uint16_t> halves;
    for (const float v : values) halves.push_back(float_to_half(v));
    add(name, dtype, std::move(shape), std::as_bytes(std::span(halves)));
  }
  [[nodiscard]] Tensor& at(const std::string& name) {
    for (auto& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::out_of_range(name);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
  }

  /// The bytes of a safetensors file, in the order of `tensors`.
  [[nodiscard]] std::string file() const {
    std::vector<io::TensorInfo> infos;
    for (const auto& tensor : tensors) infos.push_back({tensor.name, tensor.dtype, tensor.shape});
    std::string out = io::safetensors_header_bytes(infos);
    for (const auto& tensor : tensors) {
      out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    }
    return out;
  }
};

/// `files` as a reader sees them, with the bytes that it reads.
class OpenReferenceFiles {
 public:
  explicit OpenReferenceFiles(const ReferenceFiles& files)
      : file_(files.file()), sidecar_(files.sidecar.dump()), checkpoint_(open(file_, sidecar_)) {}

  [[nodiscard]] static io::ReferenceCheckpoint open(const std::string& file, const std::string& sidecar) {
    return io::ReferenceCheckpoint::from_memory(
        std::as_bytes(std::span(sidecar)),
        io::SafetensorsFile::from_memory(std::as_bytes(std::span(file)), "memory.safetensors"), "memory.meta.json");
  }
  [[nodiscard]] const io::ReferenceCheckpoint* operator->() const { return &checkpoint_; }

 private:
  std::string file_, sidecar_;
  io::ReferenceCheckpoint checkpoint_;
};

}  // namespace sinq::test
