// Writes the seeds of all harnesses: make_seeds tests/fuzz/corpus
#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_writer.hpp>
#include <sinq/io/quantized_writer.hpp>
#include <sinq/io/reference_writer.hpp>

#include "support/quantized_layouts.hpp"
#include "support/reference_files.hpp"

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

void write_reference_seed(const std::filesystem::path& path, const sinq::test::ReferenceFiles& files) {
  const std::string json = files.sidecar.dump();
  std::ofstream(path, std::ios::binary) << static_cast<char>(json.size() & 0xffU) << static_cast<char>(json.size() >> 8)
                                        << json << files.file();
}

void write_reference_seeds(const std::filesystem::path& folder) {
  using sinq::Layout;
  using sinq::io::ReferenceAux;
  std::filesystem::create_directories(folder);
  sinq::test::ReferenceFiles all;  // two layers and a plain tensor
  const auto write = [&](const std::string& name, Layout layout, ReferenceAux aux, const std::string& method) {
    if (layout.row_block == 0) layout.row_block = layout.rows;
    sinq::QuantizedMatrix q(layout);
    const auto codes = q.region(sinq::Region::kCodes);
    for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::byte>(37 * i);
    for (const auto region : {sinq::Region::kGroupScale, sinq::Region::kOffset, sinq::Region::kColScale}) {
      const std::uint16_t value = sinq::float_to_half(region == sinq::Region::kColScale ? 1.5F : 0.25F);
      for (std::size_t i = 0; i < q.region(region).size(); i += 2) std::memcpy(&q.region(region)[i], &value, 2);
    }
    if (layout.level_count != 0) {
      std::memcpy(q.region(sinq::Region::kLevels).data(), sinq::codebooks::kNf4Levels.data(), 64);
    }
    const auto layer = reference_layer_data(name, q, aux);
    sinq::test::ReferenceFiles files;
    for (const auto& tensor : layer.tensors) {
      files.add(tensor.info.name, tensor.info.dtype, tensor.info.shape, tensor.bytes);
    }
    files.sidecar = nlohmann::ordered_json::parse(sinq::io::reference_sidecar_json({{name, layer.meta}}));
    if (!method.empty()) files.sidecar[name]["meta"]["method"] = method;
    write_reference_seed(folder / name, files);
    if (name != "bits4" && name != "nf4") return;
    all.sidecar[name] = files.sidecar[name];
    all.tensors.insert(all.tensors.end(), files.tensors.begin(), files.tensors.end());
  };
  for (const int bits : {1, 2, 3, 4, 5, 6, 8}) {
    write("bits" + std::to_string(bits), {.rows = 4, .cols = 32, .bits = bits, .group_size = 16}, ReferenceAux::kF16,
          "");
  }
  write("squares", {.rows = 16, .cols = 16, .group_size = 8, .row_block = 8}, ReferenceAux::kF16, "");
  write("coded", {.rows = 16, .cols = 16, .group_size = 8}, ReferenceAux::kCoded, "");
  write("coded_shared", {.rows = 16, .cols = 16, .group_size = 8, .offset = sinq::OffsetKind::kShared},
        ReferenceAux::kCoded, "");
  write("f32", {.rows = 2, .cols = 16, .group_size = 16}, ReferenceAux::kF32, "");
  write("nf4", {.rows = 4, .cols = 16, .group_size = 16, .level_count = 16}, ReferenceAux::kF16, "");
  write("perhaps_gated", {.rows = 4, .cols = 16, .group_size = 16, .col_scale = sinq::ColScaleKind::kNone},
        ReferenceAux::kF16, "sinq_nf4");
  write("unpacked", {.rows = 3, .cols = 16, .group_size = 16}, ReferenceAux::kF16, "");
  all.add("norm.weight", DType::kF32, {2}, std::vector<float>{1, 2});
  all.sidecar["norm"]["eps"] = 1e-6;
  write_reference_seed(folder / "two_layers", all);
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
  write_reference_seeds(std::filesystem::path(argv[1]) / "reference_checkpoint");
  write_gguf_seeds(std::filesystem::path(argv[1]) / "gguf");
}
