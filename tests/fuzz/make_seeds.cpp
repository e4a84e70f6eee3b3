// Writes the seeds of fuzz_safetensors and fuzz_quantized: make_seeds tests/fuzz/corpus
#include <sinq/io/quantized_writer.hpp>

#include "support/quantized_layouts.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using sinq::io::DType;
using sinq::io::TensorData;

void write_safetensors_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::vector<std::byte> bytes(64);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(37 * i);
  const auto part = [&](std::size_t size) { return std::span(bytes).first(size); };
  sinq::io::write_safetensors(folder / "empty", std::vector<TensorData>{});
  sinq::io::write_safetensors(folder / "every_float",
                              std::vector<TensorData>{{"f64", DType::kF64, {2, 3}, part(48)},
                                                      {"f32", DType::kF32, {2, 3}, part(24)},
                                                      {"f16", DType::kF16, {3, 2}, part(12)},
                                                      {"bf16", DType::kBf16, {1, 2}, part(4)}},
                              {{"format", "pt"}});
  sinq::io::write_safetensors(folder / "other_shapes",
                              std::vector<TensorData>{{"scalar", DType::kI64, {}, part(8)},
                                                      {"none", DType::kU8, {0, 3}, {}},
                                                      {"cube", DType::kI16, {2, 2, 2}, part(16)}});
  // One byte before the floats, as writers leave it that align nothing.
  std::vector<sinq::io::TensorInfo> infos{{"a", DType::kU8, {1}}, {"m", DType::kF32, {2, 2}}};
  std::ofstream(folder / "unaligned", std::ios::binary)
      << sinq::io::safetensors_header_bytes(infos) << std::string(17, 'x');
}

void write_quantized_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, layout] : sinq::test::every_layout()) {
    const sinq::QuantizedMatrix q = sinq::test::arbitrary_matrix(layout, 1);
    sinq::io::write_quantized(folder / name, std::vector<sinq::io::NamedMatrix>{{"w", q}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  write_safetensors_seeds(std::filesystem::path(argv[1]) / "safetensors");
  write_quantized_seeds(std::filesystem::path(argv[1]) / "quantized");
}
