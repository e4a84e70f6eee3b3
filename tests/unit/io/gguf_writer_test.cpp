#include <sinq/io/gguf_writer.hpp>

#include "gguf_bytes.hpp"
#include "io_support.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::GgufArray;
using sinq::io::GgufMetadata;
using sinq::io::GgufPlan;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq::io::GgufWriter;
using sinq::io::plan_gguf;
using sinq_test::bytes_of;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::GgufBytes;
using sinq_test::TemporaryFolder;

GgufMetadata planned_metadata() {
  GgufMetadata out;
  out.add("name", "x");
  out.add("flags", GgufArray(std::vector<bool>{true, false}));
  return out;
}

std::vector<GgufTensorInfo> planned_tensors() {
  return {{"w", GgufType::kQ4_0, {2, 32}}, {"none", GgufType::kF32, {0, 4}}, {"v", GgufType::kF32, {3}}};
}

TEST(GgufWriter, TheBytesAreThoseOfTheFormat) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "out.gguf";
  const std::string w(36, 'w'), v(12, 'v');
  GgufWriter writer(path, plan_gguf(planned_metadata(), planned_tensors()));
  writer.write(bytes_of(w.substr(0, 1)));  // pieces of any size
  writer.write(bytes_of(w.substr(1)));
  writer.write(bytes_of(v));
  EXPECT_FALSE(std::filesystem::exists(path)) << "a name before the file is whole";
  writer.commit();

  GgufBytes expected;
  expected.start(3, 2).string("name").u32(8).string("x");
  expected.string("flags").u32(9).u32(7).u64(2).raw(std::string("\1\0", 2));
  expected.matrix("w", 2, 32, 2, 0).matrix("none", 0, 4, 0, 64).string("v").u32(1).u64(3).u32(0).u64(64);
  expected.pad(32).raw(w).pad(32).raw(v).pad(32);
  EXPECT_EQ(content_of(path), expected.bytes());
  EXPECT_EQ(writer.plan().file_bytes, expected.bytes().size());
}

TEST(GgufWriter, WhatIsWrittenIsReadBack) {
  const GgufPlan plan = plan_gguf(planned_metadata(), planned_tensors());
  const std::string file = plan.header + std::string(plan.file_bytes - plan.header.size(), 'x');
  const auto header = sinq::io::parse_gguf_header(bytes_of(file), "out");
  EXPECT_EQ(header.metadata.entries(), planned_metadata().entries());
  EXPECT_EQ(header.tensors, plan.tensors);
}

TEST(GgufWriter, AlignmentIsThatOfTheMetadata) {
  GgufMetadata metadata;
  metadata.add("general.alignment", std::uint32_t{128});
  const GgufPlan plan = plan_gguf(metadata, planned_tensors());
  EXPECT_EQ(plan.header.size() % 128, 0U);
  EXPECT_EQ(plan.tensors[2].begin - plan.tensors[0].begin, 128U);
  EXPECT_EQ(plan.file_bytes, plan.header.size() + 256);
}

TEST(GgufWriter, NamesAndShapesThatNoFileCanHaveAreRefused) {
  const auto refuse = [](Errc code, std::vector<GgufTensorInfo> tensors, const char* part) {
    expect_error(
        code, [&] { static_cast<void>(plan_gguf({}, tensors)); }, part);
  };
  refuse(Errc::kBadConfig, {{"", GgufType::kF32, {1}}}, "tensor name ''");
  refuse(Errc::kBadConfig, {{std::string(64, 'n'), GgufType::kF32, {1}}}, "longer than 63");
  refuse(Errc::kBadConfig, {{"a", GgufType::kF32, {1}}, {"a", GgufType::kF16, {1}}}, "'a'");
  refuse(Errc::kBadShape, {{"a", GgufType::kQ8_0, {4, 40}}}, "'a': shape [4, 40]");
  refuse(Errc::kBadShape, {{"a", GgufType::kF32, {1, 1, 1, 1, 1}}}, "at most 4 dimensions");
}

TEST(GgufWriter, MissingAndSurplusBytesAreRefusedAndNothingIsLeft) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "out.gguf";
  {
    GgufWriter writer(path, plan_gguf({}, planned_tensors()));
    expect_error(
        Errc::kBadShape, [&] { writer.write(bytes_of(std::string(37, 'w'))); }, "37 bytes, but tensor 'w' lacks 36");
    writer.write(bytes_of(std::string(36, 'w')));
    writer.write(bytes_of(std::string(8, 'v')));
    expect_error(
        Errc::kBadShape, [&] { writer.commit(); }, "tensor 'v' lacks 4 bytes");
    writer.write(bytes_of(std::string(4, 'v')));
    expect_error(
        Errc::kBadShape, [&] { writer.write(bytes_of("x")); }, "1 bytes, but all tensors are complete");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
