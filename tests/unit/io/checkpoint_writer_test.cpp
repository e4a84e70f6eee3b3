#include <sinq/io/checkpoint.hpp>
#include <sinq/io/checkpoint_writer.hpp>

#include "io_support.hpp"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::Checkpoint;
using sinq::io::CheckpointPlan;
using sinq::io::CheckpointWriter;
using sinq::io::DType;
using sinq::io::plan_checkpoint;
using sinq::io::plan_safetensors;
using sinq::io::ShardWriter;
using sinq::io::TensorGroup;
using sinq_test::bytes_of;
using sinq_test::content_of;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

/// Contents of different lengths, one per tensor.
std::vector<std::string> contents() {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < 40; ++i) out.emplace_back(4 * (i % 7) * 100, static_cast<char>('a' + i % 26));
  return out;
}

std::string tensor_name(std::size_t i) { return "tensor." + std::to_string(i); }

std::vector<TensorGroup> groups_of(const std::vector<std::string>& contents) {
  std::vector<TensorGroup> out;
  for (std::size_t i = 0; i < contents.size(); ++i) {
    const auto bytes = static_cast<sinq::Index>(contents[i].size());
    out.push_back({{i % 2 == 0 ? sinq::io::TensorInfo{tensor_name(i), DType::kU8, {bytes}}
                               : sinq::io::TensorInfo{tensor_name(i), DType::kF32, {bytes / 4}}},
                   {}});
  }
  return out;
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST(ShardWriter, AnyOrderMakesTheFileThatWriteSafetensorsMakes) {
  const TemporaryFolder folder;
  const auto plan = plan_safetensors({{"b", DType::kU8, {5}}, {"a", DType::kF32, {2}}}, {{"format", "pt"}});
  {
    ShardWriter writer(folder.path() / "parts", plan);
    writer.write("b", 3, bytes_of("45"));
    writer.write("a", 0, bytes_of("abcdefgh"));
    writer.write("b", 0, bytes_of("123"));
    writer.write("b", 5, {});
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"parts.partial"}));
    writer.commit();
  }
  const std::vector<sinq::io::TensorData> tensors{{"b", DType::kU8, {5}, bytes_of("12345")},
                                                  {"a", DType::kF32, {2}, bytes_of("abcdefgh")}};
  write_safetensors(folder.path() / "whole", tensors, {{"format", "pt"}});
  EXPECT_EQ(content_of(folder.path() / "parts"), content_of(folder.path() / "whole"));
}

TEST(ShardWriter, WhatIsMissingOrTooMuchIsNamed) {
  const TemporaryFolder folder;
  const auto plan = plan_safetensors({{"a", DType::kU8, {4}}, {"b", DType::kU8, {4}}});
  {
    ShardWriter writer(folder.path() / "out", plan);
    expect_error(
        Errc::kBadConfig, [&] { writer.write("c", 0, bytes_of("x")); }, "'c' is not planned");
    expect_error(
        Errc::kBadShape, [&] { writer.write("a", 2, bytes_of("xyz")); }, "'a'", "3 bytes from byte 2");
    expect_error(
        Errc::kBadShape, [&] { writer.write("a", ~std::uint64_t{0}, bytes_of("x")); }, "'a'");
    writer.write("a", 0, bytes_of("abcd"));
    writer.write("b", 0, bytes_of("abc"));
    expect_error(
        Errc::kBadShape, [&] { writer.commit(); }, "'b'", "1 bytes are missing");
    expect_error(
        Errc::kBadShape, [&] { writer.write("a", 1, bytes_of("x")); }, "'a'", "written twice");
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CheckpointWriter, ThreadsInAnyOrderMakeTheSameFiles) {
  const auto bytes = contents();
  const auto groups = groups_of(bytes);
  const CheckpointPlan plan = plan_checkpoint(groups, 5000);
  ASSERT_GT(plan.shards.size(), 5U);
  const TemporaryFolder in_order, mixed;
  {
    CheckpointWriter writer(in_order.path(), plan);
    for (std::size_t i = 0; i < bytes.size(); ++i) writer.write(tensor_name(i), bytes_of(bytes[i]));
    writer.finish();
  }
  {
    CheckpointWriter writer(mixed.path(), plan);
    const auto write_every_third = [&](std::size_t first) {
      for (std::size_t i = bytes.size(); i-- > 0;) {
        if (i % 3 != first) continue;
        const std::string_view content = bytes[i];
        const std::size_t half = content.size() / 2;
        writer.write(tensor_name(i), half, bytes_of(content.substr(half)));
        writer.write(tensor_name(i), 0, bytes_of(content.substr(0, half)));
      }
    };
    std::vector<std::jthread> threads;
    for (std::size_t first = 0; first < 3; ++first) threads.emplace_back(write_every_third, first);
    threads.clear();
    writer.finish();
  }
  ASSERT_EQ(names_in(in_order.path()), names_in(mixed.path()));
  std::uint64_t size = 0;
  for (const auto& name : names_in(in_order.path())) {
    EXPECT_EQ(content_of(in_order.path() / name), content_of(mixed.path() / name)) << name;
    if (name != sinq::io::kIndexFile) size += std::filesystem::file_size(in_order.path() / name);
  }
  EXPECT_EQ(size, plan.file_bytes());
  const auto checkpoint = Checkpoint::open(mixed.path());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(checkpoint.at(tensor_name(i)).bytes(), bytes_of(bytes[i])));
  }
}

TEST(CheckpointWriter, AFileHasItsNameWithItsLastByteAndTheIndexComesLast) {
  const TemporaryFolder folder;
  const std::vector<TensorGroup> groups{{{{"a", DType::kU8, {2}}}, {}}, {{{"b", DType::kU8, {2}}}, {}}};
  const CheckpointPlan plan = plan_checkpoint(groups, 2);
  CheckpointWriter writer(folder.path(), plan);
  EXPECT_TRUE(names_in(folder.path()).empty());
  writer.write("a", 0, bytes_of("x"));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{plan.shards[0].file + ".partial"}));
  writer.write("a", 1, bytes_of("y"));
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{plan.shards[0].file}));
  expect_error(
      Errc::kBadShape, [&] { writer.write("a", 1, bytes_of("y")); }, plan.shards[0].file, "written twice");
  expect_error(
      Errc::kBadConfig, [&] { writer.write("c", bytes_of("y")); }, "'c' is not planned");
  expect_error(
      Errc::kBadShape, [&] { writer.finish(); }, "'b'", "2 bytes are missing");
  writer.write("b", bytes_of("zz"));
  writer.finish();
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{plan.shards[0].file, plan.shards[1].file, std::string(sinq::io::kIndexFile)}));
}

}  // namespace
