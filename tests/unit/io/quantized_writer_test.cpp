#include <sinq/io/quantized_writer.hpp>
#include <sinq/io/safetensors.hpp>

#include "io_support.hpp"
#include "support/quantized_layouts.hpp"

#include <vector>

namespace {

using sinq::Errc;
using sinq::QuantizedMatrix;
using sinq::io::NamedMatrix;
using sinq::io::write_quantized;
using sinq::test::arbitrary_matrix;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

const sinq::Layout kWritten{.rows = 4, .cols = 24, .group_size = 8, .row_block = 4};

TEST(QuantizedWriter, TheOrderOfMatricesDoesNotMatter) {
  const QuantizedMatrix a = arbitrary_matrix(kWritten, 1), b = arbitrary_matrix(kWritten, 2);
  const TemporaryFolder folder;
  write_quantized(folder.path() / "ab", std::vector<NamedMatrix>{{"a", a}, {"b", b}});
  write_quantized(folder.path() / "ba", std::vector<NamedMatrix>{{"b", b}, {"a", a}});
  EXPECT_EQ(content_of(folder.path() / "ab"), content_of(folder.path() / "ba"));
}

TEST(QuantizedWriter, RegionsAreAligned) {
  const QuantizedMatrix a = arbitrary_matrix({.rows = 3, .cols = 8, .bits = 3, .row_block = 3, .level_count = 8}, 1);
  const TemporaryFolder folder;
  const auto path = folder.path() / "f";
  write_quantized(path, std::vector<NamedMatrix>{{"a", a}, {"odd", a}});
  const auto file = sinq::io::SafetensorsFile::open(path);
  for (const auto& tensor : file.tensors()) {
    EXPECT_EQ(tensor.begin % static_cast<std::uint64_t>(dtype_bytes(tensor.dtype)), 0U) << tensor.name;
  }
}

TEST(QuantizedWriter, EveryFileSaysItsVersion) {
  const QuantizedMatrix a = arbitrary_matrix(kWritten, 1);
  const QuantizedMatrix trellis = arbitrary_matrix({.rows = 4,
                                                    .cols = 24,
                                                    .bits = 0,
                                                    .quarter_bits = 10,
                                                    .row_block = 4,
                                                    .level_count = 48,
                                                    .offset = sinq::OffsetKind::kShared},
                                                   1);
  const TemporaryFolder folder;
  const auto version = [&](const std::vector<NamedMatrix>& matrices) {
    write_quantized(folder.path() / "f", matrices);
    const auto file = sinq::io::SafetensorsFile::open(folder.path() / "f");
    return file.metadata().at("sinq.version");
  };
  EXPECT_EQ(version({{"a", a}}), "3");
  EXPECT_EQ(version({{"a", a}, {"t", trellis}, {"z", a}}), "3");
}

TEST(QuantizedWriter, TwoOfOneNameAreRefused) {
  const QuantizedMatrix a = arbitrary_matrix(kWritten, 1);
  const TemporaryFolder folder;
  expect_error(
      Errc::kBadConfig,
      [&] {
        write_quantized(folder.path() / "f", std::vector<NamedMatrix>{{"a", a}, {"a", a}});
      },
      "'a.", "stands twice");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
