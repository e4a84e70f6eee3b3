#include <sinq/io/safetensors.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "io_support.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::DType;
using sinq::io::SafetensorsFile;
using sinq::io::TensorData;
using sinq::io::write_safetensors;
using sinq_test::bytes_of;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

std::vector<TensorData> some_tensors() {
  return {{"b", DType::kU8, {3}, bytes_of("abc")},
          {"a\"\\\n\xc3\xa9", DType::kF32, {1, 2}, bytes_of("12345678")},
          {"scalar", DType::kF64, {}, bytes_of("ABCDEFGH")},
          {"empty", DType::kBf16, {0, 5}, {}},
          {"a", DType::kU8, {1}, bytes_of("x")}};
}

TEST(SafetensorsWriter, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "out.safetensors";
  const sinq::io::Metadata metadata{{"format", "pt"}, {"note", "a \"quoted\" line\n"}};
  const auto tensors = some_tensors();
  write_safetensors(path, tensors, metadata);
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const auto& tensor : tensors) {
    const auto& info = file.at(tensor.name);
    EXPECT_EQ(info.dtype, tensor.dtype);
    EXPECT_EQ(info.shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(file.bytes(info), tensor.bytes));
    EXPECT_EQ(info.begin % static_cast<std::uint64_t>(dtype_bytes(info.dtype)), 0U) << tensor.name;
  }
}

TEST(SafetensorsWriter, TheBytesAreThoseOfTheFormat) {
  const TemporaryFolder folder;
  const std::vector<TensorData> tensors{{"w", DType::kU8, {2}, bytes_of("hi")}};
  write_safetensors(folder.path() / "out", tensors);
  const std::string header = R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";  // 53 bytes, padded to 56
  EXPECT_EQ(content_of(folder.path() / "out"), std::string("\x38\0\0\0\0\0\0\0", 8) + header + "   hi");
}

TEST(SafetensorsWriter, TheOrderOfTheArgumentsDoesNotMatter) {
  const TemporaryFolder folder;
  auto tensors = some_tensors();
  write_safetensors(folder.path() / "one", tensors);
  std::ranges::reverse(tensors);
  write_safetensors(folder.path() / "two", tensors);
  EXPECT_EQ(content_of(folder.path() / "one"), content_of(folder.path() / "two"));
}

TEST(SafetensorsWriter, AnEmptyFileIsPossible) {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "out", {});
  const auto file = SafetensorsFile::open(folder.path() / "out");
  EXPECT_TRUE(file.tensors().empty());
}

TEST(SafetensorsWriter, WhatMakesNoFileIsRefusedAndNothingIsWritten) {
  const TemporaryFolder folder;
  const auto path = folder.file("out", "old");
  const auto write = [&](std::vector<TensorData> tensors, const sinq::io::Metadata& metadata = {}) {
    return [=] { write_safetensors(path, tensors, metadata); };
  };
  const TensorData good{"w", DType::kU8, {2}, bytes_of("hi")};
  expect_error(Errc::kBadConfig, write({good, good}), "tensor 'w' stands twice");
  expect_error(Errc::kBadConfig, write({{"__metadata__", DType::kU8, {2}, bytes_of("hi")}}), "__metadata__");
  expect_error(Errc::kBadConfig, write({{"\xff", DType::kU8, {2}, bytes_of("hi")}}), "not UTF-8");
  expect_error(Errc::kBadConfig, write({good}, {{"k", "\xff"}}), "not UTF-8");
  expect_error(Errc::kBadShape, write({{"w", DType::kF32, {2}, bytes_of("hi")}}), "tensor 'w'", "2 bytes", "takes 8");
  expect_error(Errc::kBadShape, write({{"w", DType::kU8, {-1}, {}}}), "tensor 'w'", "shape [-1]");
  expect_error(Errc::kBadShape, write({{"w", DType::kU8, std::vector<sinq::Index>(33, 1), bytes_of("1")}}), "'w'");
  EXPECT_EQ(content_of(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
