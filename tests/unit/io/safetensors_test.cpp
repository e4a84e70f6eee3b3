#include <sinq/io/safetensors.hpp>

#include "io_support.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::MatrixView;
using sinq::ScalarType;
using sinq::io::DType;
using sinq::io::SafetensorsFile;
using sinq_test::bytes_of;
using sinq_test::expect_error;
using sinq_test::safetensors;
using sinq_test::TemporaryFolder;

const char* const kHeader =
    R"({"__metadata__":{"k":"v"},"m":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("i":{"dtype":"I32","shape":[1,1],"data_offsets":[24,28]},"v":{"dtype":"BF16","shape":[2],"data_offsets":[28,32]},)"
    R"("e":{"dtype":"F32","shape":[0,3],"data_offsets":[32,32]}})";

TEST(SafetensorsFile, OpensMapsAndFinds) {
  const TemporaryFolder folder;
  const auto content = safetensors(kHeader, 32);
  const auto path = folder.file("model.safetensors", content);
  auto opened = SafetensorsFile::open(path);
  const SafetensorsFile file = std::move(opened);  // pointers into it survive a move
  EXPECT_EQ(file.name(), path.string());
  EXPECT_EQ(file.metadata().at("k"), "v");
  ASSERT_EQ(file.tensors().size(), 4U);
  ASSERT_NE(file.find("m"), nullptr);
  EXPECT_EQ(&file.at("m"), file.find("m"));
  EXPECT_EQ(file.find("n"), nullptr);
  EXPECT_EQ(file.find(""), nullptr);
  EXPECT_EQ(file.find("zz"), nullptr);
  const auto bytes = file.bytes(file.at("v"));
  EXPECT_TRUE(std::ranges::equal(bytes, bytes_of(content.substr(content.size() - 4))));
  EXPECT_TRUE(file.bytes(file.at("e")).empty());
  file.release(file.at("m"));
  file.release(file.at("v"), 1, 3);
  EXPECT_TRUE(std::ranges::equal(bytes, bytes_of(content.substr(content.size() - 4))));  // loaded again
}

TEST(SafetensorsFile, SaysWhichTensorIsMissingAndWhere) {
  const auto content = safetensors(kHeader, 32);
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "some.safetensors");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(file.at("lm_head.weight")); },
      "some.safetensors: there is no tensor 'lm_head.weight'");
}

TEST(SafetensorsFile, BytesOfAForeignTensorAreRefused) {
  const auto content = safetensors(kHeader, 32);
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "small");
  sinq::io::TensorInfo foreign = file.at("m");
  foreign.end = 1'000'000;
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(file.bytes(foreign)); }, "'m'", "not one of this file");
}

TEST(SafetensorsFile, EmptyMissingAndForeignFilesAreRefusedByName) {
  const TemporaryFolder folder;
  const auto open = [](const std::filesystem::path& path) { static_cast<void>(SafetensorsFile::open(path)); };
  const auto empty = folder.file("empty.safetensors", "");
  expect_error(
      Errc::kBadFile, [&] { open(empty); }, empty.string(), "header length at byte 0 needs 8 bytes, but 0 remain");
  expect_error(
      Errc::kIo, [&] { open(folder.path() / "none.safetensors"); }, "none.safetensors", "No such file");
  expect_error(
      Errc::kBadFile, [&] { open(folder.file("x.txt", "this is no such file at all")); }, "x.txt",
      "is this a safetensors file?");
}

TEST(MatrixView, SeesATensorWhereItLies) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  for (const auto& [dtype, type] : {std::pair{"F32", ScalarType::kF32}, std::pair{"F64", ScalarType::kF64},
                                    std::pair{"F16", ScalarType::kF16}, std::pair{"BF16", ScalarType::kBf16}}) {
    const auto size = static_cast<std::size_t>(6 * sinq::scalar_bytes(type));
    std::string header = R"({"m":{"dtype":")" + std::string(dtype) + R"(","shape":[2,3],"data_offsets":[0,)" +
                         std::to_string(size) + "]}}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const std::string content = safetensors(header, size);
    const TemporaryFolder folder;
    const auto file = SafetensorsFile::open(folder.file("m.safetensors", content));
    const MatrixView view = matrix_view(file, file.at("m"));
    EXPECT_EQ(view.data, file.bytes(file.at("m")).data());
    EXPECT_EQ(view.type, type);
    EXPECT_EQ(view.rows, 2);
    EXPECT_EQ(view.cols, 3);
    EXPECT_EQ(view.row_stride, 3);
    EXPECT_EQ(view.col_stride, 1);
    EXPECT_EQ(view.read_tile, nullptr);
  }
}

TEST(MatrixView, ReadsElementsThatAreNotAligned) {
  // Values that all four types hold exactly.
  const std::vector<float> values{1.0F, -2.0F, 0.5F, 96.0F, -0.25F, 3.0F, 0.0F, 7.0F, -8.0F, 1.5F, 20.0F, -48.0F};
  const auto encode = [&](ScalarType type) {
    std::string out;
    for (const float x : values) {
      const auto put = [&](auto element) {
        char raw[sizeof element];
        std::memcpy(raw, &element, sizeof element);
        out.append(raw, sizeof element);
      };
      if (type == ScalarType::kF32) put(x);
      if (type == ScalarType::kF64) put(static_cast<double>(x));
      if (type == ScalarType::kF16) put(sinq::float_to_half(x));
      if (type == ScalarType::kBf16) put(sinq::float_to_bfloat16(x));
    }
    return out;
  };
  for (const auto& [dtype, type] : {std::pair{"F32", ScalarType::kF32}, std::pair{"F64", ScalarType::kF64},
                                    std::pair{"F16", ScalarType::kF16}, std::pair{"BF16", ScalarType::kBf16}}) {
    SCOPED_TRACE(dtype);
    const std::string data = encode(type);
    std::string header = R"({"m":{"dtype":")" + std::string(dtype) + R"(","shape":[3,4],"data_offsets":[0,)" +
                         std::to_string(data.size()) + "]}}";
    header.resize((header.size() + 7) / 8 * 8 + 1, ' ');
    const TemporaryFolder folder;
    auto file = SafetensorsFile::open(folder.file("m.safetensors", safetensors(header, 0) + data));
    auto moved = std::move(file);
    const MatrixView view = matrix_view(moved, moved.at("m"));
    ASSERT_NE(view.read_tile, nullptr);
    // Rows 1 and 2, columns 1 to 3, into rows of 5.
    std::vector<float> tile(10, 99.0F);
    view.read_tile(view.data, 1, 1, 2, 3, tile.data(), 5);
    EXPECT_EQ(tile, (std::vector<float>{3.0F, 0.0F, 7.0F, 99, 99, 1.5F, 20.0F, -48.0F, 99, 99}));
  }
}

TEST(MatrixView, RefusesWhatIsNoMatrixOfFloats) {
  const auto content = safetensors(kHeader, 32);
  const auto file = SafetensorsFile::from_memory(bytes_of(content), "small");
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(matrix_view(file, file.at("i"))); }, "small: tensor 'i' at byte ",
      "dtype I32");
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(matrix_view(file, file.at("v"))); }, "'v'", "shape [2]");
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(matrix_view(file, file.at("e"))); }, "'e'", "shape [0, 3]");
}

}  // namespace
