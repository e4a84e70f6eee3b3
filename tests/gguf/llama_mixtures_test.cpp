#include "gguf/llama_mixtures.hpp"

#include "gguf_models.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace gguf::test {
namespace {

using sinq::io::GgufTensorInfo;
using Types = std::map<std::string, GgufType>;

/// What llama.cpp makes of a model of `blocks` blocks whose rows have `cols` columns.
class MixtureOf {
 public:
  explicit MixtureOf(std::int32_t blocks, Index cols = 256) : cols_(cols) {
    data_.add("general.architecture", "llama");
    data_.add("llama.block_count", static_cast<std::uint32_t>(blocks));
    data_.add("llama.attention.head_count", std::uint32_t{8});
    data_.add("llama.attention.head_count_kv", std::uint32_t{4});
    add("token_embd.weight");
    for (int i = 0; i < blocks; ++i) {
      for (const char* part : {"attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
                               "ffn_down", "ffn_gate_inp"}) {
        add("blk." + std::to_string(i) + "." + part + ".weight");
      }
    }
  }

  void add(const std::string& name) { tensors_.push_back({name, GgufType::kF32, {512, cols_}}); }
  void set(const char* key, sinq::io::GgufValue value) { data_.set(key, std::move(value)); }

  [[nodiscard]] Types operator()(std::string_view mixture) const {
    const auto types = llama_types(*llama_mixture(mixture), data_, tensors_);
    Types out;
    for (std::size_t i = 0; i < tensors_.size(); ++i) out[tensors_[i].name] = types[i];
    return out;
  }

  /// Blocks in which `part` is of that type.
  [[nodiscard]] std::vector<int> blocks_with(std::string_view mixture, const std::string& part, GgufType type) const {
    std::vector<int> out;
    const Types types = (*this)(mixture);
    for (int i = 0; types.contains("blk." + std::to_string(i) + "." + part + ".weight"); ++i) {
      if (types.at("blk." + std::to_string(i) + "." + part + ".weight") == type) out.push_back(i);
    }
    return out;
  }

 private:
  Index cols_;
  sinq::io::GgufMetadata data_;
  std::vector<GgufTensorInfo> tensors_;
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LlamaMixtures, AreKnownByTheNamesThatUsersType) {
  EXPECT_EQ(llama_mixture("q4_k_m")->file_type, 15U);
  EXPECT_EQ(llama_mixture("q4_k"), llama_mixture("q4_k_m"));
  EXPECT_EQ(llama_mixture("q3_k"), llama_mixture("q3_k_m"));
  EXPECT_EQ(llama_mixture("q5_k"), llama_mixture("q5_k_m"));
  EXPECT_EQ(llama_mixture("q6_k")->file_type, 18U);
  EXPECT_EQ(llama_mixture("q4_0"), nullptr) << "one type for all";
  EXPECT_EQ(llama_mixture("q4_k_x"), nullptr);
}

TEST(LlamaMixtures, FavourTheFirstAndLastEighthAndEveryThirdBetween) {
  const MixtureOf of(16);
  const auto favoured = ElementsAre(0, 1, 4, 7, 10, 13, 14, 15);
  EXPECT_THAT(of.blocks_with("q4_k_m", "attn_v", GgufType::kQ6K), favoured);
  EXPECT_THAT(of.blocks_with("q4_k_m", "ffn_down", GgufType::kQ6K), favoured);
  EXPECT_THAT(of.blocks_with("q5_k_m", "ffn_down", GgufType::kQ6K), favoured);
  EXPECT_THAT(of.blocks_with("q4_k_m", "ffn_up", GgufType::kQ4K), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q4_k_m", "attn_norm", GgufType::kF32), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q4_k_m", "ffn_gate_inp", GgufType::kF32), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q4_k_s", "attn_v", GgufType::kQ5K), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(of.blocks_with("q4_k_s", "ffn_down", GgufType::kQ5K), ElementsAre(0, 1));
  EXPECT_THAT(of.blocks_with("q3_k_m", "attn_v", GgufType::kQ5K), ElementsAre(0, 1));
  EXPECT_THAT(of.blocks_with("q3_k_m", "ffn_down", GgufType::kQ5K), ElementsAre(0));
  EXPECT_THAT(of.blocks_with("q3_k_m", "attn_output", GgufType::kQ4K), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q3_k_s", "ffn_down", GgufType::kQ3K), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q2_k", "ffn_down", GgufType::kQ3K), testing::SizeIs(16));
  EXPECT_THAT(of.blocks_with("q2_k", "attn_k", GgufType::kQ2K), testing::SizeIs(16));
}

TEST(LlamaMixtures, TheHeadOrATableThatIsOneHasSixBits) {
  MixtureOf of(8);
  EXPECT_EQ(of("q2_k").at("token_embd.weight"), GgufType::kQ6K);
  of.add("output.weight");
  EXPECT_EQ(of("q2_k").at("token_embd.weight"), GgufType::kQ2K);
  EXPECT_EQ(of("q2_k").at("output.weight"), GgufType::kQ6K);
}

TEST(LlamaMixtures, SharedKeysAndExpertsHaveMore) {
  MixtureOf of(8);
  EXPECT_THAT(of.blocks_with("q2_k", "attn_v", GgufType::kQ3K), testing::SizeIs(8));
  of.set("llama.attention.head_count_kv", sinq::io::GgufArray(std::vector<std::int32_t>{2, 0, 2}));
  EXPECT_THAT(of.blocks_with("q2_k", "attn_v", GgufType::kQ4K), testing::SizeIs(8));
  EXPECT_THAT(of.blocks_with("iq4_xs", "attn_v", GgufType::kQ5K), testing::SizeIs(8));
  of.set("llama.expert_count", std::uint32_t{8});
  EXPECT_THAT(of.blocks_with("q4_k_m", "attn_v", GgufType::kQ8_0), testing::SizeIs(8));
  EXPECT_THAT(of.blocks_with("q4_k_m", "attn_k", GgufType::kQ8_0), testing::SizeIs(8));
  EXPECT_THAT(of.blocks_with("q4_k_m", "attn_output", GgufType::kQ5K), testing::SizeIs(8));
  EXPECT_THAT(of.blocks_with("q5_k_m", "attn_output", GgufType::kQ6K), IsEmpty());
}

TEST(LlamaMixtures, FallBackWhereRowsAreNoWholeBlocks) {
  const MixtureOf of(8, 96);
  EXPECT_EQ(of("q4_k_m").at("token_embd.weight"), GgufType::kQ8_0);
  EXPECT_EQ(of("q4_k_m").at("blk.1.attn_q.weight"), GgufType::kQ5_0);
  EXPECT_EQ(of("q4_k_m").at("blk.0.ffn_down.weight"), GgufType::kQ8_0);
}

}  // namespace
}  // namespace gguf::test
