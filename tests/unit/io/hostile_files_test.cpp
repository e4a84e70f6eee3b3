// Files that lie about quantized tensors. What safetensors headers lie about is in safetensors_header_test.cpp;
// tests/fuzz goes on where lists end.
#include <sinq/dequantize.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "quantized_vector.hpp"

#include <string>
#include <system_error>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::io::DType;
using sinq::io::SafetensorsFile;
using sinq::io::TensorInfo;
using sinq_test::bytes_of;
using sinq_test::expect_error;

/// Decodes all quantized tensors of the file, from memory that ends with it.
void decode(const std::string& content) {
  const std::vector<char> exact(content.begin(), content.end());
  const auto file = SafetensorsFile::from_memory(std::as_bytes(std::span(exact)), "f");
  for (const auto& name : file.quantized_names()) {
    const sinq::QuantizedView q = file.quantized(name);
    std::vector<float> weights(static_cast<std::size_t>(q.rows() * q.cols()));
    sinq::dequantize_into(q, weights);
  }
}

TEST(HostileFiles, AQuantizedTensorCutOffAnywhereIsRefused) {
  const std::string content = sinq_test::vector_file();
  decode(content);
  for (std::size_t size = 0; size < content.size(); ++size) {
    SCOPED_TRACE(size);
    expect_error(
        Errc::kBadFile, [&] { decode(content.substr(0, size)); }, "f: ", "byte");
  }
}

TEST(HostileFiles, AChangedByteIsRefusedOrHarmless) {
  const std::string content = sinq_test::vector_file();
  int refused = 0;
  for (std::size_t i = 0; i < content.size(); ++i) {
    for (const char to : {'0', '9', '"', '}', '\\', '\xff'}) {
      std::string changed = content;
      changed[i] = to;
      refused += sinq_test::error_of([&] { decode(changed); }).has_value() ? 1 : 0;
    }
  }
  // Most of the file is header, in which few changes mean something.
  EXPECT_GT(refused, static_cast<int>(content.size()) * 4);
}

TEST(HostileFiles, ShapesThatOverflowAreRefused) {
  const std::string content = sinq_test::vector_file();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = content;
    // Of the same length, so that everything stays in its place; the header ends with spaces.
    return changed.replace(changed.find(from), from.size(), to);
  };
  const auto refused = [&](const std::string& changed, std::string_view part) {
    expect_error(
        Errc::kBadFile, [&] { decode(changed); }, part);
  };
  refused(with("\\\"rows\\\":2", "\\\"rows\\\":3"), "tensor 'w.codes' at byte ");
  refused(with("\\\"cols\\\":8", "\\\"cols\\\":9"), "tensor 'w.");
  refused(with("\"shape\":[2,3]", "\"shape\":[3,2]"), "'w.codes' at byte ");
  refused(with("\"shape\":[2,3]", "\"shape\":[2,9]"), "'w.codes' at byte ");
  refused(with("[28,34]", "[24,34]"), "'w.codes' at byte ");
  refused(with("w.codes", "w.offse"), "there is no tensor 'w.codes'");
}

// Sizes that are true: a file of a terabyte with holes. Nothing of it is read or allocated.
TEST(HostileFiles, ASparseTerabyteIsOpenedWithoutReadingIt) {
  const Index side = Index{1} << 20;
  const sinq::Layout layout{.rows = side,
                            .cols = side,
                            .bits = 8,
                            .group_size = side,
                            .row_block = side,
                            .offset = sinq::OffsetKind::kShared,
                            .col_scale = sinq::ColScaleKind::kNone};
  std::vector<TensorInfo> infos = sinq::io::quantized_tensor_infos("w", layout);
  std::swap(infos.front(), infos.back());  // matrix_scale first
  sinq::io::Metadata metadata;
  metadata.insert(sinq::io::quantized_metadata("w", layout));
  metadata.insert(sinq::io::quantized_version_metadata());
  std::string content = sinq::io::safetensors_header_bytes(infos, metadata);
  const float one = 1.0F;
  content.append(reinterpret_cast<const char*>(&one), sizeof one);
  const sinq_test::TemporaryFolder folder;
  const auto path = folder.file("huge", content);
  std::error_code error;
  std::filesystem::resize_file(path, infos.back().end, error);
  if (error) GTEST_SKIP() << "no sparse files here: " << error.message();
  const auto file = SafetensorsFile::open(path);
  const sinq::QuantizedView q = file.quantized("w");
  EXPECT_EQ(q.rows(), side);
  std::vector<float> row(static_cast<std::size_t>(side), 1.0F);
  sinq::dequantize_rows(q, {side - 1, side}, row);
  EXPECT_EQ(row.back(), 0.0F);
  // The same claim without the bytes.
  expect_error(
      Errc::kBadFile, [&] { decode(content); }, "'w.", "are not a range within the file's");
}

TEST(HostileFiles, DeepAndLongLayoutsAreRefused) {
  const auto file_with = [](const std::string& layout) {
    std::vector<TensorInfo> none;
    return sinq::io::safetensors_header_bytes(none, {{"sinq.version", "1"}, {"sinq.layout.w", layout}});
  };
  for (const std::string& layout :
       {std::string(2'000'000, '['), "{\"rows\":" + std::string(1'000'000, '9') + "}",
        "{\"" + std::string(1'000'000, 'x') + "\":1}", std::string(1'000'000, ' '), std::string("\0{}", 3)}) {
    const std::string content = file_with(layout);
    const auto error = sinq_test::error_of([&] { decode(content); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), Errc::kBadFile);
    EXPECT_THAT(error->what(), testing::HasSubstr("layout of tensor 'w'"));
    EXPECT_LT(std::string(error->what()).size(), 1000U);
  }
}

}  // namespace
