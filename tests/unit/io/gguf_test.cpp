#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_writer.hpp>

#include "gguf_bytes.hpp"
#include "io_support.hpp"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::BlockFormat;
using sinq::Errc;
using sinq::Index;
using sinq::io::GgufFile;
using sinq::io::GgufMetadata;
using sinq::io::GgufPlan;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq_test::bytes_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

/// A file with a matrix [2, 256] of each type, all bytes counting up, and a vector.
std::string all_types() {
  std::vector<GgufTensorInfo> tensors;
  for (const auto& row : sinq::io::detail::kGgufTypes) {
    tensors.push_back({std::string(row.name), row.type, {2, 256}});
  }
  tensors.push_back({"vector", GgufType::kF32, {4}});
  const GgufPlan plan = sinq::io::plan_gguf({}, tensors);
  std::string file = plan.header;
  while (file.size() < plan.file_bytes) file += static_cast<char>(file.size() % 61);  // no Inf and no NaN
  return file;
}

TEST(GgufFile, OpensMapsAndFinds) {
  const TemporaryFolder folder;
  const auto path = folder.file("model.gguf", all_types());
  auto opened = GgufFile::open(path);
  const GgufFile file = std::move(opened);  // pointers into it survive a move
  EXPECT_EQ(file.name(), path.string());
  ASSERT_NE(file.find("q4_k"), nullptr);
  EXPECT_EQ(&file.at("q4_k"), file.find("q4_k"));
  EXPECT_EQ(file.find("q4"), nullptr);
  EXPECT_EQ(file.find("zz"), nullptr);
  EXPECT_EQ(file.bytes(file.at("q4_k")).size(), 2 * 144U);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(file.at("output.weight")); }, path.string(),
      "there is no tensor 'output.weight'");
  GgufTensorInfo foreign = file.at("f32");
  foreign.end = 1'000'000;
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(file.bytes(foreign)); }, "not one of this file");
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(file.matrix_view(foreign)); }, "'f32'");
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(file.matrix_view(file.at("vector"))); }, "shape [4]");
}

TEST(GgufFile, MemoryThatIsNotAlignedIsRefused) {
  const std::string content = "x" + all_types();
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(GgufFile::from_memory(bytes_of(content).subspan(1), "small")); },
      "small: the address is not a multiple of 8");
}

TEST(GgufFile, FloatsAreReadInPlace) {
  const std::string content = all_types();
  const auto file = GgufFile::from_memory(bytes_of(content), "m");
  for (const auto type : {GgufType::kF32, GgufType::kF16, GgufType::kBf16, GgufType::kF64}) {
    const auto& info = file.at(name(type));
    const auto view = file.matrix_view(info);
    EXPECT_EQ(view.read_tile, nullptr);
    EXPECT_EQ(view.data, file.bytes(info).data());
    EXPECT_EQ(view.type, scalar_type(type));
    EXPECT_EQ(view.rows, 2);
    EXPECT_EQ(view.row_stride, 256);
  }
}

TEST(GgufFile, AnyTileOfBlocksIsWhatTheWholeRowsDecodeTo) {
  const std::string content = all_types();
  const auto file = GgufFile::from_memory(bytes_of(content), "m");
  for (const BlockFormat format : sinq::kBlockFormats) {
    const auto& info = file.at(name(format));
    ASSERT_EQ(info.type, sinq::io::gguf_type(format));
    std::vector<float> whole(512);
    sinq::decode_row(format, file.bytes(info), whole.data());
    const auto view = sinq::io::matrix_view(file, info);
    ASSERT_NE(view.read_tile, nullptr);
    const Index tiles[][4] = {{0, 0, 2, 256}, {1, 0, 1, 256}, {0, 31, 2, 2}, {1, 5, 1, 251}, {0, 64, 1, 32}};
    for (const auto& [row, col, rows, cols] : tiles) {
      std::vector<float> out(2 * 256, -1.0F);
      view.read_tile(view.data, row, col, rows, cols, out.data(), 256);
      for (Index r = 0; r < 2; ++r) {
        for (Index c = 0; c < 256; ++c) {
          const float expected =
              r < rows && c < cols ? whole[static_cast<std::size_t>((row + r) * 256 + col + c)] : -1.0F;
          ASSERT_EQ(out[static_cast<std::size_t>(r * 256 + c)], expected) << name(format) << " " << r << " " << c;
        }
      }
    }
  }
}

}  // namespace
