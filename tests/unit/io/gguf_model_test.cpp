#include <sinq/io/gguf_model.hpp>

#include "io_support.hpp"

#include <cstdint>
#include <filesystem>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::GgufMetadata;
using sinq::io::GgufModel;
using sinq::io::GgufPlan;
using sinq::io::GgufShardName;
using sinq::io::GgufTensorInfo;
using sinq::io::GgufType;
using sinq_test::expect_error;
using sinq_test::TemporaryFolder;

/// The plan's file; byte i of tensor t is i + t.
void write(const std::filesystem::path& path, const GgufPlan& plan) {
  sinq::io::GgufWriter writer(path, plan);
  for (const auto& tensor : plan.tensors) {
    std::vector<std::byte> bytes(tensor.end - tensor.begin);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::byte>(i + static_cast<std::size_t>(tensor.name.back() - '0'));
    }
    writer.write(bytes);
  }
  writer.commit();
}

std::vector<GgufTensorInfo> tensors() {
  return {{"t0", GgufType::kF32, {2, 3, 4}}, {"t1", GgufType::kI32, {5}}, {"t2", GgufType::kQ8_0, {2, 2, 32}}};
}

GgufMetadata metadata() {
  GgufMetadata out("m");
  out.add("general.architecture", "any");
  return out;
}

/// In three files, `m-0000i-of-00003.gguf`.
std::vector<GgufPlan> plans() { return sinq::io::plan_gguf_shards(metadata(), tensors(), 1); }

void write_all(const TemporaryFolder& folder, const std::vector<GgufPlan>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const GgufShardName name{"m", static_cast<sinq::Index>(i + 1), static_cast<sinq::Index>(files.size())};
    write(folder.path() / name.text(), files[i]);
  }
}

TEST(GgufModel, AnyOfItsFilesStandsForAll) {
  const TemporaryFolder folder;
  write(folder.path() / "whole.gguf", sinq::io::plan_gguf(metadata(), tensors()));
  const auto whole = GgufModel::open(folder.path() / "whole.gguf");
  EXPECT_EQ(whole.files().size(), 1U);
  write_all(folder, plans());
  for (const char* file : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    auto opened = GgufModel::open(folder.path() / file);
    const GgufModel model = std::move(opened);  // pointers into it survive a move
    EXPECT_EQ(model.files().size(), 3U);
    EXPECT_EQ(model.name(), (folder.path() / "m-00001-of-00003.gguf").string());
    EXPECT_EQ(model.metadata().get<std::string>("general.architecture"), "any");
    ASSERT_EQ(model.tensors().size(), whole.tensors().size());
    for (std::size_t i = 0; i < whole.tensors().size(); ++i) {
      EXPECT_EQ(model.tensors()[i].info.name, whole.tensors()[i].info.name);
      const auto bytes = model.tensors()[i].bytes(), expected = whole.tensors()[i].bytes();
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
    }
    EXPECT_EQ(model.find("t1"), &model.tensors()[1]);
    EXPECT_EQ(model.find("t3"), nullptr);
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(model.at("t3")); }, "m-00001-of-00003.gguf: there is no tensor 't3'");
  }
}

TEST(GgufModel, RowsOfAnyShapeAreAMatrix) {
  const TemporaryFolder folder;
  write_all(folder, plans());
  const auto model = GgufModel::open(folder.path() / "m-00001-of-00003.gguf");
  const auto cube = model.at("t0").rows_view();
  EXPECT_EQ(cube.rows, 6);
  EXPECT_EQ(cube.cols, 4);
  EXPECT_EQ(cube.data, model.at("t0").bytes().data());
  const auto blocks = model.at("t2").rows_view();
  EXPECT_EQ(blocks.rows, 4);
  std::vector<float> all(4 * 32), last(32);
  blocks.read_tile(blocks.data, 0, 0, 4, 32, all.data(), 32);
  blocks.read_tile(blocks.data, 3, 0, 1, 32, last.data(), 32);
  EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - 32));
  expect_error(
      Errc::kUnsupported, [&] { static_cast<void>(model.at("t1").rows_view()); }, "m-00002-of-00003.gguf: tensor 't1'",
      "numbers of i32 cannot be read");
  expect_error(
      Errc::kBadShape, [&] { static_cast<void>(model.at("t0").matrix_view()); }, "'t0'", "shape [2, 3, 4]");
  model.at("t2").release();  // and is read again
  EXPECT_EQ(model.at("t2").bytes()[0], std::byte{2});
}

TEST(GgufModel, FilesThatDoNotBelongTogetherAreRefused) {
  const auto refuse = [](Errc code, const auto& change, auto... parts) {
    const TemporaryFolder folder;
    write_all(folder, plans());
    change(folder);
    expect_error(
        code, [&] { static_cast<void>(GgufModel::open(folder.path() / "m-00001-of-00003.gguf")); }, parts...);
  };
  const auto file = [](const TemporaryFolder& folder, int i) {
    return folder.path() / GgufShardName{"m", i, 3}.text();
  };
  refuse(
      Errc::kIo, [&](const TemporaryFolder& f) { std::filesystem::remove(file(f, 2)); }, "m-00002-of-00003.gguf",
      "cannot open");
  refuse(
      Errc::kBadFile,
      [&](const TemporaryFolder& f) {
        std::filesystem::copy_file(file(f, 2), file(f, 3), std::filesystem::copy_options::overwrite_existing);
      },
      "m-00003-of-00003.gguf: split.no is 1, its name asks for 2");
  refuse(
      Errc::kBadFile, [&](const TemporaryFolder& f) { write(file(f, 2), sinq::io::plan_gguf(metadata(), tensors())); },
      "m-00002-of-00003.gguf: there is no metadata 'split.no'");
  const auto with_tensors = [&](std::vector<GgufTensorInfo> other) {
    return [=](const TemporaryFolder& f) {
      GgufMetadata part("p");
      part.add("split.no", std::uint16_t{1});
      part.add("split.count", std::uint16_t{3});
      part.add("split.tensors.count", std::int32_t{3});
      write(file(f, 2), sinq::io::plan_gguf(part, other));
    };
  };
  refuse(Errc::kBadFile, with_tensors({{"t0", GgufType::kF32, {1}}}), "m-00002-of-00003.gguf: tensor 't0' is in ",
         "m-00001-of-00003.gguf, too");
  refuse(Errc::kBadFile, with_tensors({{"t5", GgufType::kF32, {1}}, {"t6", GgufType::kF32, {1}}}),
         "split.tensors.count is 3, but all 3 files hold 4");
}

TEST(GgufModel, TheNameSaysWhereTheOthersAre) {
  const TemporaryFolder folder;
  write(folder.path() / "alone.gguf", plans()[0]);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(GgufModel::open(folder.path() / "alone.gguf")); },
      "alone.gguf: split.count is 3, but its name does not end as -00001-of-00003.gguf does");
  write(folder.path() / "m-00001-of-00002.gguf", plans()[0]);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(GgufModel::open(folder.path() / "m-00001-of-00002.gguf")); },
      "split.count is 3");
  GgufMetadata one = metadata();
  one.add("split.no", std::uint16_t{0});
  one.add("split.count", std::uint16_t{1});
  write(folder.path() / "one.gguf", sinq::io::plan_gguf(one, tensors()));
  const auto model = GgufModel::open(folder.path() / "one.gguf");
  EXPECT_EQ(model.tensors().size(), 3U);
}

}  // namespace
