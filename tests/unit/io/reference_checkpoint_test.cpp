#include <sinq/dequantize.hpp>
#include <sinq/io/reference_checkpoint.hpp>

#include "io_support.hpp"
#include "support/reference_files.hpp"

#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Errc;
using sinq::Index;
using sinq::io::DType;
using sinq::io::ReferenceCheckpoint;
using sinq::test::OpenReferenceFiles;
using sinq::test::ReferenceFiles;
using sinq_test::expect_error;

/// A layer of 4 x 16 weights in 8 bits, groups of 8, and a norm.
ReferenceFiles files(DType aux) {
  ReferenceFiles out;
  std::vector<std::byte> codes;
  for (int i = 0; i < 64; ++i) codes.push_back(static_cast<std::byte>(i * 3));
  std::vector<float> scale, zero, col_scale;
  for (int i = 0; i < 8; ++i) scale.push_back(static_cast<float>(i + 1) / 8);
  for (int i = 0; i < 8; ++i) zero.push_back(static_cast<float>(10 * i) - 7);
  for (int i = 0; i < 16; ++i) col_scale.push_back(static_cast<float>(16 + i) / 16);
  out.add("a.q.W_q", DType::kU8, {8, 8}, codes);
  out.add("a.q.meta.scale", aux, {8, 1}, scale);
  out.add("a.q.meta.zero", aux, {8, 1}, zero);
  out.add("a.q.meta.scale2", aux, {1, 16}, col_scale);
  out.add("a.q.bias", DType::kF16, {4}, {1, 2, 3, 4});
  out.add("a.norm.weight", DType::kF32, {2}, {5, 6});
  out.sidecar["a.q"]["meta"] = {{"nbits", 8}, {"shape", {4, 16}}, {"packing", "8bit_u8"}, {"method", "sinq"}};
  return out;
}

TEST(ReferenceCheckpoint, DequantizesAsTheReferenceDoes) {
  for (const DType aux : {DType::kF16, DType::kF32}) {
    const OpenReferenceFiles opened(files(aux));
    const auto q = opened->quantized("a.q");
    EXPECT_EQ(q.layout().aux, aux == DType::kF16 ? AuxFormat::kF16 : AuxFormat::kF32);
    std::vector<float> out(64);
    dequantize_into(q, out);
    for (Index r = 0; r < 4; ++r) {
      for (Index c = 0; c < 16; ++c) {
        const Index group = r * 2 + c / 8;
        const float expected = ((static_cast<float>(3 * (r * 16 + c)) - static_cast<float>(10 * group - 7)) *
                                (static_cast<float>(group + 1) / 8)) *
                               (static_cast<float>(16 + c) / 16);
        EXPECT_EQ(out[static_cast<std::size_t>(r * 16 + c)], expected) << r << " " << c;
      }
    }
  }
}

TEST(ReferenceCheckpoint, OtherTensorsPassThrough) {
  const OpenReferenceFiles opened(files(DType::kF16));
  std::vector<std::string> names;
  for (const auto* tensor : opened->plain_tensors()) names.push_back(tensor->info.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("a.q.bias", "a.norm.weight"));
  EXPECT_EQ(opened->files().at("a.norm.weight").info.shape, std::vector<Index>{2});
  EXPECT_EQ(opened->find("a.q"), &opened->layers()[0]);
  EXPECT_EQ(opened->find("a"), nullptr);
  EXPECT_EQ(opened->find("b"), nullptr);
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(opened->quantized("a")); }, "memory.meta.json: there is no layer 'a'");
}

TEST(ReferenceCheckpoint, OpensAFolder) {
  const sinq_test::TemporaryFolder folder;
  EXPECT_FALSE(ReferenceCheckpoint::is_one(folder.path()));
  const ReferenceFiles f = files(DType::kF16);
  folder.file("model-00001-of-00001.safetensors", f.file());
  nlohmann::json index;
  for (const auto& tensor : f.tensors) index["weight_map"][tensor.name] = "model-00001-of-00001.safetensors";
  folder.file("model.safetensors.index.json", index.dump());
  expect_error(
      Errc::kIo, [&] { static_cast<void>(ReferenceCheckpoint::open(folder.path())); },
      "model.safetensors.index.json.meta.json", "No such file");
  folder.file("model.safetensors.index.json.meta.json", f.sidecar.dump());
  EXPECT_TRUE(ReferenceCheckpoint::is_one(folder.path()));
  auto opened = ReferenceCheckpoint::open(folder.path());
  const ReferenceCheckpoint moved = std::move(opened);
  EXPECT_EQ(moved.layers().size(), 1U);
  EXPECT_EQ(moved.quantized("a.q").rows(), 4);
  folder.file("model.safetensors.index.json.meta.json", "{");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(ReferenceCheckpoint::open(folder.path())); }, folder.path().string(),
      "index.json.meta.json: JSON near byte 1");
}

TEST(ReferenceCheckpoint, EveryTruncationIsAnError) {
  const ReferenceFiles f = files(DType::kF16);
  const std::string file = f.file(), sidecar = f.sidecar.dump();
  const auto opens = [](const std::string& a, const std::string& b) {
    static_cast<void>(OpenReferenceFiles::open(a, b).quantized("a.q"));
  };
  ASSERT_NO_THROW(opens(file, sidecar));
  for (std::size_t n = 0; n < file.size(); ++n) {
    EXPECT_THROW(opens(file.substr(0, n), sidecar), sinq::Error) << n;
  }
  for (std::size_t n = 0; n < sidecar.size(); ++n) {
    EXPECT_THROW(opens(file, sidecar.substr(0, n)), sinq::Error) << n;
  }
}

}  // namespace
