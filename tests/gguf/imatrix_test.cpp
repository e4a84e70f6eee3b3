#include "gguf/imatrix.hpp"

#include <sinq/io/gguf_writer.hpp>

#include "unit/io/gguf_bytes.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace gguf::test {
namespace {

using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq_test::expect_error;
using sinq_test::GgufBytes;
using sinq_test::TemporaryFolder;
using testing::ElementsAre;

using Floats = std::vector<float>;

constexpr float kNoNumber = std::numeric_limits<float>::quiet_NaN();

/// The older format: one entry's name, calls and values.
GgufBytes& entry(GgufBytes& out, const std::string& name, std::int32_t calls, const Floats& values) {
  out.number(static_cast<std::int32_t>(name.size())).raw(name).number(calls);
  out.number(static_cast<std::int32_t>(values.size()));
  for (const float value : values) out.number(value);
  return out;
}

GgufBytes old_file() {
  GgufBytes out;
  out.number(std::int32_t{2});
  entry(out, "blk.0.attn_q.weight", 4, {4.0F, 8.0F, 0.0F});
  entry(out, "blk.0.ffn_up_exps.weight", 1, {1.0F, 2.0F, 3.0F, 4.0F});
  return out;
}

TEST(Imatrix, ReadsTheOlderBinaryFormat) {
  const TemporaryFolder folder;
  const auto short_file = Imatrix::open(folder.file("a.dat", old_file().bytes()));
  EXPECT_EQ(short_file.chunks, 0);
  auto file = old_file();
  file.number(std::int32_t{37}).number(std::int32_t{8}).raw("text.txt");
  const auto imatrix = Imatrix::open(folder.file("b.dat", file.bytes()));
  EXPECT_EQ(imatrix.chunks, 37);
  EXPECT_EQ(imatrix.text, "text.txt");
  ASSERT_EQ(imatrix.entries.size(), 2U);
  EXPECT_EQ(imatrix.entries, short_file.entries);
  EXPECT_THAT(imatrix.entries.at("blk.0.attn_q.weight"), ElementsAre(1.0, 2.0, 0.0)) << "divided by the calls";
  EXPECT_THAT(imatrix.entries.at("blk.0.ffn_up_exps.weight"), ElementsAre(1.0, 2.0, 3.0, 4.0));
}

TEST(Imatrix, OldFilesCutOffOrChangedAreReadOrRefused) {
  const TemporaryFolder folder;
  auto file = old_file();
  file.number(std::int32_t{37}).number(std::int32_t{8}).raw("text.txt");
  const std::string whole = file.bytes();
  const std::size_t entries = old_file().bytes().size();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.file("x.dat", whole.substr(0, size));
    const auto error = sinq_test::error_of([&] { static_cast<void>(Imatrix::open(path)); });
    const bool is_whole = size == entries || size == entries + 4;  // without the text, or without its name
    ASSERT_EQ(error.has_value(), !is_whole) << size;
    if (error) {
      EXPECT_EQ(error->code(), sinq::Errc::kBadFile) << size << error->what();
    }
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const auto path = folder.file("x.dat", changed);
      static_cast<void>(sinq_test::error_of([&] { static_cast<void>(Imatrix::open(path)); }));
    }
  }
}

TEST(Imatrix, WhatAnOldFileMustNotSayIsRefused) {
  const TemporaryFolder folder;
  const auto refuse = [&](sinq::Errc code, const GgufBytes& file, auto... parts) {
    const auto path = folder.file("x.dat", file.bytes());
    expect_error(
        code, [&] { static_cast<void>(Imatrix::open(path)); }, "x.dat: ", parts...);
  };
  const auto one = [](const std::string& name, std::int32_t calls, const Floats& values) {
    GgufBytes out;
    out.number(std::int32_t{1});
    return entry(out, name, calls, values);
  };
  const auto twice = [&] {
    GgufBytes out;
    out.number(std::int32_t{2});
    entry(out, "a", 1, {1.0F});
    return entry(out, "a", 1, {1.0F});
  };
  refuse(sinq::Errc::kBadData, one("a", 1, {1.0F, kNoNumber}), "tensor 'a': value 1 is nan");
  refuse(sinq::Errc::kBadData, one("a", 1, {-std::numeric_limits<float>::infinity()}), "tensor 'a': value 0 is -inf");
  refuse(sinq::Errc::kBadData, one("a", 1, {0.0F, 1.0F, -2.0F}), "tensor 'a': value 2 is -2, but squares");
  refuse(sinq::Errc::kBadFile, one("", 1, {1.0F, 1.0F}), "entry 0, tensor ''");
  refuse(sinq::Errc::kBadFile, one("a", -1, {1.0F}), "-1 calls");
  refuse(sinq::Errc::kBadFile, twice(), "tensor 'a' stands twice");
  refuse(sinq::Errc::kBadFile, GgufBytes().number(std::int32_t{0}), "begins with 0 entries");
  refuse(sinq::Errc::kBadFile, GgufBytes().number(std::int32_t{-1}), "number of entries -1");
  refuse(sinq::Errc::kBadFile, GgufBytes().number(std::int32_t{2'000'000'000}), "does not fit into the 0 bytes");
  auto behind = old_file();
  behind.number(std::int32_t{1}).number(std::int32_t{1}).raw("xy");
  refuse(sinq::Errc::kBadFile, behind, "1 bytes behind the end");
}

struct Entry {
  std::string name;
  std::vector<sinq::Index> shape;
  Floats values;
};

void write_gguf(const std::filesystem::path& path, const std::vector<Entry>& tensors,
                const std::string& kind = "imatrix", GgufType type = GgufType::kF32) {
  sinq::io::GgufMetadata metadata("i");
  metadata.add("general.type", kind);
  metadata.add("imatrix.datasets", sinq::io::GgufArray(std::vector<std::string>{"a.txt", "b.txt"}));
  metadata.add("imatrix.chunk_count", std::uint32_t{12});
  metadata.add("imatrix.chunk_size", std::uint32_t{512});
  std::vector<GgufTensorInfo> infos;
  for (const Entry& tensor : tensors) infos.push_back({tensor.name, type, tensor.shape});
  sinq::io::GgufWriter writer(path, sinq::io::plan_gguf(metadata, infos));
  for (const Entry& tensor : tensors) {
    writer.write(std::as_bytes(std::span(tensor.values)).first(*tensor_bytes(type, tensor.shape)));
  }
  writer.commit();
}

TEST(Imatrix, ReadsGgufFiles) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "i.gguf";
  write_gguf(path, {{"q.in_sum2", {1, 3}, {4.0F, 8.0F, 0.0F}},
                    {"q.counts", {1, 1}, {4.0F}},
                    {"q.in_sum", {1, 3}, {-1.0F, 0.0F, 1.0F}},
                    {"exps.in_sum2", {3, 2}, {1.0F, 2.0F, 5.0F, 6.0F, 7.0F, 9.0F}},
                    {"exps.counts", {3, 1}, {1.0F, 0.0F, 2.0F}}});
  const auto imatrix = Imatrix::open(path);
  EXPECT_EQ(imatrix.chunks, 12);
  EXPECT_EQ(imatrix.text, "a.txt");
  ASSERT_EQ(imatrix.entries.size(), 2U);
  EXPECT_THAT(imatrix.entries.at("q"), ElementsAre(1.0, 2.0, 0.0));
  EXPECT_THAT(imatrix.entries.at("exps"), ElementsAre(1.0, 2.0, 0.0, 0.0, 3.5, 4.5)) << "0 where nothing was counted";
}

TEST(Imatrix, WhatAGgufFileMustNotSayIsRefused) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "i.gguf";
  const auto refuse = [&](sinq::Errc code, auto... parts) {
    expect_error(
        code, [&] { static_cast<void>(Imatrix::open(path)); }, "i.gguf: ", parts...);
  };
  const Entry sums{"q.in_sum2", {1, 2}, {4.0F, 8.0F}}, counts{"q.counts", {1, 1}, {4.0F}};
  write_gguf(path, {sums, counts}, "model");
  refuse(sinq::Errc::kBadFile, "general.type is not imatrix");
  write_gguf(path, {sums});
  refuse(sinq::Errc::kBadFile, "there is no tensor 'q.counts'");
  write_gguf(path, {counts});
  refuse(sinq::Errc::kBadFile, "there is no tensor 'q.in_sum2'");
  write_gguf(path, {sums, counts, {"q.weight", {1}, {1.0F}}});
  refuse(sinq::Errc::kBadFile, "tensor 'q.weight' is none of an importance matrix");
  write_gguf(path, {sums, {"q.counts", {3, 1}, {4.0F, 4.0F, 4.0F}}});
  refuse(sinq::Errc::kBadFile, "2 sums for 3 counts");
  write_gguf(path, {sums, counts}, "imatrix", GgufType::kF16);
  refuse(sinq::Errc::kBadFile, "tensor 'q.in_sum2' is f16");
  write_gguf(path, {{"q.in_sum2", {1, 2}, {4.0F, kNoNumber}}, counts});
  refuse(sinq::Errc::kBadData, "tensor 'q.in_sum2': value 1 is nan");
  write_gguf(path, {sums, {"q.counts", {1, 1}, {-4.0F}}});
  refuse(sinq::Errc::kBadData, "tensor 'q.counts': value 0 is -4");
}

}  // namespace
}  // namespace gguf::test
