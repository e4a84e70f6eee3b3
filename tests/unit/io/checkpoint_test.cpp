#include <sinq/io/checkpoint.hpp>

#include "io_support.hpp"

#include <string>
#include <utility>

namespace {

using sinq::Errc;
using sinq::io::Checkpoint;
using sinq_test::expect_error;
using sinq_test::safetensors;
using sinq_test::TemporaryFolder;

std::string one_tensor(const std::string& name) {
  return safetensors("{\"" + name + R"(":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})", 8);
}

constexpr const char* kIndex = "model.safetensors.index.json";

void open(const TemporaryFolder& folder) { static_cast<void>(Checkpoint::open(folder.path())); }

TEST(Checkpoint, OneFile) {
  const TemporaryFolder folder;
  folder.file("model.safetensors", one_tensor("w"));
  const auto checkpoint = Checkpoint::open(folder.path());
  ASSERT_EQ(checkpoint.tensors().size(), 1U);
  EXPECT_EQ(&checkpoint.at("w").file, &checkpoint.files()[0]);
  EXPECT_EQ(checkpoint.at("w").bytes().size(), 8U);
  EXPECT_EQ(matrix_view(checkpoint.at("w")).cols, 2);
}

TEST(Checkpoint, ShardsAreOneCheckpoint) {
  const TemporaryFolder folder;
  folder.file("s-1.safetensors", one_tensor("a"));
  folder.file("s-2.safetensors", one_tensor("b"));
  folder.file(kIndex, R"({"metadata":{"total_size":16,"deep":[[{"weight_map":{"x":"y"}}]],"half":0.5,"no":null},
                          "weight_map":{"b":"s-2.safetensors","a":"s-1.safetensors"}, "more":"text"})");
  auto opened = Checkpoint::open(folder.path());
  const Checkpoint checkpoint = std::move(opened);
  ASSERT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(checkpoint.tensors()[0].info.name, "a");
  EXPECT_EQ(&checkpoint.at("b").file, &checkpoint.files()[1]);
  EXPECT_EQ(checkpoint.at("b").bytes().size(), 8U);
  EXPECT_EQ(checkpoint.find("c"), nullptr);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(checkpoint.at("c")); }, folder.path().string(), "no tensor 'c'");
}

TEST(Checkpoint, TheIndexDecidesWhichTensorsBelong) {
  const TemporaryFolder folder;
  folder.file("s-1.safetensors", one_tensor("a"));
  folder.file("model.safetensors", one_tensor("whole"));
  folder.file(kIndex, R"({"weight_map":{"a":"s-1.safetensors"}})");
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.find("whole"), nullptr);
  EXPECT_NE(checkpoint.find("a"), nullptr);
}

TEST(Checkpoint, OfATensorInTwoShardsTheIndexChoosesOne) {
  const TemporaryFolder folder;
  folder.file("s-1.safetensors", one_tensor("a"));
  folder.file("s-2.safetensors", safetensors(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                             R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                                             2));
  folder.file(kIndex, R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})");
  const auto checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.tensors().size(), 2U);
  EXPECT_EQ(checkpoint.at("a").bytes().size(), 8U);
}

TEST(Checkpoint, AMissingShardIsNamed) {
  const TemporaryFolder folder;
  folder.file("s-1.safetensors", one_tensor("a"));
  folder.file(kIndex, R"({"weight_map":{"a":"s-1.safetensors","b":"s-2.safetensors"}})");
  expect_error(
      Errc::kIo, [&] { open(folder); }, "s-2.safetensors", "No such file");
}

TEST(Checkpoint, AShardWithoutThePromisedTensorIsNamed) {
  const TemporaryFolder folder;
  folder.file("s-1.safetensors", one_tensor("a"));
  folder.file(kIndex, R"({"weight_map":{"a":"s-1.safetensors","b":"s-1.safetensors"}})");
  expect_error(
      Errc::kBadFile, [&] { open(folder); }, kIndex, "tensor 'b'", "'s-1.safetensors'", "does not hold it");
}

TEST(Checkpoint, AShardCannotLieOutsideTheFolder) {
  const TemporaryFolder folder;
  const auto outside = folder.file("secret.safetensors", one_tensor("a"));
  const auto inside = folder.path() / "model";
  std::filesystem::create_directory(inside);
  for (const std::string& file :
       {std::string("../secret.safetensors"), outside.string(), std::string(".."), std::string("."), std::string(""),
        std::string("a/b"), std::string("..\\\\x"), std::string("a\\u0000b"), std::string("C:x")}) {
    folder.file(sinq::detail::text("model/", kIndex), sinq::detail::text(R"({"weight_map":{"a":")", file, "\"}}"));
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(Checkpoint::open(inside)); }, kIndex, "tensor 'a'",
        "no plain file name");
  }
}

TEST(Checkpoint, ABrokenIndexIsRefused) {
  const TemporaryFolder folder;
  folder.file("s", one_tensor("a"));
  const auto refused = [&](const std::string& index, const char* part) {
    SCOPED_TRACE(index.substr(0, 200));
    folder.file(kIndex, index);
    expect_error(
        Errc::kBadFile, [&] { open(folder); }, kIndex, part);
  };
  const std::string good = R"({"metadata":{"n":1},"weight_map":{"a":"s"}})";
  for (std::size_t length = 0; length < good.size(); ++length) refused(good.substr(0, length), "JSON near byte");
  folder.file(kIndex, good);
  open(folder);
  refused("[]", "instead of an object");
  refused("\"text\"", "instead of an object");
  refused("{}", "there is no 'weight_map'");
  refused(R"({"weight_map":"s"})", "in 'weight_map'");
  refused(R"({"weight_map":["s"]})", "in 'weight_map'");
  refused(R"({"weight_map":{"a":1}})", "in 'weight_map'");
  refused(R"({"weight_map":{"a":{"b":"s"}}})", "in 'weight_map'");
  refused(R"({"weight_map":{"a":["s"]}})", "in 'weight_map'");
  refused(R"({"weight_map":{"a":"s","a":"s"}})", "tensor 'a' stands twice");
  refused(R"({"weight_map":{"a":"s"},"weight_map":{"a":"s"}})", "'weight_map' stands twice");
  refused(R"({"x":)" + std::string(1'000'000, '['), "more than 64 levels");
}

TEST(Checkpoint, AFolderWithoutWeightsIsRefused) {
  const TemporaryFolder folder;
  expect_error(
      Errc::kIo, [&] { open(folder); }, folder.path().string(), "neither model.safetensors nor");
  expect_error(
      Errc::kIo, [&] { static_cast<void>(Checkpoint::open(folder.path() / "none")); }, "none: no such folder");
  const auto file = folder.file("file", "");
  expect_error(
      Errc::kIo, [&] { static_cast<void>(Checkpoint::open(file)); }, "file: not a folder");
}

TEST(Checkpoint, WhatIsThereInsteadIsNamed) {
  const TemporaryFolder folder;
  const auto refused = [](const std::filesystem::path& path, const std::string& what) {
    expect_error(
        Errc::kIo, [&] { static_cast<void>(Checkpoint::open(path)); }, path.string() + ": ", what);
  };
  refused(folder.file("x.gguf", "GGUF\x03..."), "is a GGUF file, a Hugging Face folder is meant");
  refused(folder.file("x.safetensors", sinq_test::safetensors("{}", 0)),
          "is a safetensors file, a Hugging Face folder");
  folder.file("model-00002-of-00002.safetensors", "");
  refused(folder.path(), "nor model.safetensors.index.json; it holds 'model-00002-of-00002.safetensors', 'x.gguf'");
  for (int i = 0; i < 20; ++i) folder.file("a" + std::to_string(i) + ".bin", "");
  refused(folder.path(), " and 15 more");
}

}  // namespace
