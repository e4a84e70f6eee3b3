#include "common/checksum.hpp"
#include "llm/json_difference.hpp"
#include "llm/progress.hpp"
#include "quantize/linear_layers.hpp"
#include "quantize/work_folder.hpp"
#include "quantize_support.hpp"

namespace convert::test {
namespace {

using common::checksum;
using common::hex;
using common::Xxh64;
using llm::difference;
using sinq_test::bytes_of;

TEST(Checksum, IsXxh64) {
  // What `xxhsum -H64` prints for these texts; the first is the specification's.
  EXPECT_EQ(checksum(bytes_of("")), "ef46db3751d8e999");
  EXPECT_EQ(checksum(bytes_of("a")), "d24ec4f1a98c6e5b");
  EXPECT_EQ(checksum(bytes_of("abc")), "44bc2cf5ad770999");
  EXPECT_EQ(checksum(bytes_of("Nobody inspects the spammish repetition")), "fbcea83c8a378bf1");
}

TEST(Checksum, PartsMakeTheSame) {
  std::string text;
  for (int i = 0; i < 203; ++i) text += static_cast<char>(i);
  Xxh64 hash;
  hash.update(bytes_of(text).first(64));
  hash.update(bytes_of(text).subspan(64, 32));
  hash.update(bytes_of(text).subspan(96));
  EXPECT_EQ(hex(hash.digest()), checksum(bytes_of(text)));
  const TemporaryFolder folder;
  EXPECT_EQ(checksum(sinq::io::MappedFile::open(folder.file("a", text))), checksum(bytes_of(text)));
}

TEST(Progress, SaysHowFastAndHowLong) {
  const llm::ProgressStyle gigabytes{.unit = "GB", .per_step = 1e-9};
  EXPECT_EQ(llm::progress_text(1.8e9, 4e9, 3.0, gigabytes), "45%, 1.8 of 4.0 GB, 0.6/s, 4 s left");
  EXPECT_EQ(llm::progress_text(1, 4, 600, {}), "25%, 1 of 4, 0.0/s, 30 min left");
  EXPECT_EQ(llm::progress_text(0, 4, 0, {}), "0%, 0 of 4");
  EXPECT_EQ(llm::progress_text(0, 0, 1, {}), "100%, 0 of 0");
}

TEST(Progress, ALogGetsPlainLinesEveryFewSeconds) {
  testing::internal::CaptureStderr();
  {
    llm::Progress progress("work", 3, {.log_interval = std::chrono::milliseconds(0)});
    for (int i = 0; i < 3; ++i) progress.step();
    llm::Progress quick("quick", 3);
    for (int i = 0; i < 3; ++i) quick.step();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, testing::MatchesRegex("work: 33%, 1 of 3.*\nwork: 67%, 2 of 3.*\nwork: 100%, 3 of 3.*\n"));
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(LinearLayers, AreMatricesOfBlocksAndNoRouters) {
  using sinq::io::DType;
  const auto is = [](const char* name, std::vector<sinq::Index> shape = {8, 8}, DType dtype = DType::kBf16) {
    return is_linear_layer({name, dtype, std::move(shape)});
  };
  EXPECT_TRUE(is("model.layers.0.self_attn.q_proj.weight"));
  EXPECT_TRUE(is("model.layers.11.mlp.experts.5.gate_proj.weight"));
  EXPECT_TRUE(is("transformer.h.3.mlp.c_fc.weight"));
  EXPECT_FALSE(is("model.layers.0.mlp.gate.weight"));
  EXPECT_FALSE(is("model.layers.0.mlp.shared_expert_gate.weight"));
  EXPECT_FALSE(is("model.layers.0.block_sparse_moe.router.weight"));
  EXPECT_FALSE(is("model.embed_tokens.weight"));
  EXPECT_FALSE(is("lm_head.weight"));
  EXPECT_FALSE(is("model.layers.0.input_layernorm.weight", {8}));
  EXPECT_FALSE(is("model.layers.0.experts.weight", {2, 8, 8}));
  EXPECT_FALSE(is("model.layers.0.q_proj.weight", {8, 8}, DType::kI32));
  EXPECT_FALSE(is("model.layers.0.q_proj.bias"));
}

TEST(JsonDifference, IsNamed) {
  const llm::Json was{{"a", {{{"b", 1}, {"c", "x"}}}}, {"n", 1}};
  llm::Json is = was;
  EXPECT_EQ(difference(was, is), "");
  is["a"][0]["b"] = 2;
  EXPECT_EQ(difference(was, is), "a[0].b was 1 and is 2");
  is = was;
  is["m"] = "y";
  EXPECT_EQ(difference(was, is), "m was absent and is \"y\"");
  is = was;
  is["a"] = llm::Json::array();
  EXPECT_EQ(difference(was, is), "a was [{\"b\":1,\"c\":\"x\"}] and is []");
}

TEST(Memory, StaysSmallWhateverTheModelsSize) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "sanitizers have memory of their own";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "sanitizers have memory of their own";
#endif
#endif
  // 25 matrices of 16 MB, of which 4 are only copied: a file with a hole is a file of zeros.
  const TemporaryFolder folder;
  std::vector<sinq::io::TensorInfo> tensors;
  for (int i = 0; i < 21; ++i) {
    tensors.push_back({"layers." + std::to_string(i) + ".a.weight", sinq::io::DType::kBf16, {2048, 4096}});
  }
  for (int i = 0; i < 4; ++i) {
    tensors.push_back({"other." + std::to_string(i), sinq::io::DType::kBf16, {2048, 4096}});
  }
  const auto plan = sinq::io::plan_safetensors(std::move(tensors));
  folder.file("config.json", "{}");
  const auto path = folder.file("model.safetensors", plan.header);
  std::filesystem::resize_file(path, plan.file_bytes());
  ASSERT_GT(plan.file_bytes(), 400'000'000U);
  const TemporaryFolder beside;
  Process process({folder.path().string(), "-o", (beside.path() / "out").string(), "--method", "rtn"});
  EXPECT_EQ(process.wait(), kDone);
  EXPECT_LT(process.peak_memory(), 2 * 2048 * 4096 * 2 + 200'000'000U);
}

}  // namespace
}  // namespace convert::test
