// Writes the seeds of fuzz_safetensors, fuzz_quantized and fuzz_gguf: make_seeds tests/fuzz/corpus
#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_writer.hpp>
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

void write_gguf_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const sinq::io::GgufMetadata& metadata,
                         std::vector<sinq::io::GgufTensorInfo> tensors) {
    const auto plan = sinq::io::plan_gguf(metadata, std::move(tensors));
    std::string file = plan.header;
    while (file.size() < plan.file_bytes) file += static_cast<char>(37 * file.size());
    std::ofstream(folder / name, std::ios::binary) << file;
  };
  using sinq::io::GgufArray;
  sinq::io::GgufMetadata values;
  values.add("u8", std::uint8_t{1});
  values.add("i16", std::int16_t{-2});
  values.add("general.alignment", std::uint32_t{64});
  values.add("f32", 0.5F);
  values.add("bool", true);
  values.add("string", "text");
  values.add("i64", std::int64_t{-3});
  values.add("f64", 0.25);
  values.add("strings", GgufArray(std::vector<std::string>{"a", "", "bc"}));
  values.add("bools", GgufArray(std::vector<bool>{true, false}));
  values.add("i32s", GgufArray(std::vector<std::int32_t>{1, -1, 7}));
  write("empty", {}, {});
  write("every_value", values, {{"v", sinq::io::GgufType::kF32, {3}}});
  for (const auto& row : sinq::io::detail::kGgufTypes) {
    write(std::string(row.name).c_str(), {}, {{"w", row.type, {2, row.block}}});
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
  write_gguf_seeds(std::filesystem::path(argv[1]) / "gguf");
}
