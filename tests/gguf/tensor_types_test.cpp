#include "gguf/tensor_types.hpp"

#include "gguf_models.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gguf::test {
namespace {

using sinq_test::expect_error;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(TensorRole, IsWhatLlamaCppSays) {
  const std::vector<Index> matrix{64, 32}, experts{4, 64, 32}, vector{64}, flat{1, 64}, conv{8, 3, 16, 16};
  // All of this is what llama_model_quantize of node-llama-cpp 3.21.1 does with tensors of these names and shapes.
  for (const char* name : {"blk.0.attn_q.weight", "blk.11.ffn_down_exps.weight", "v.blk.3.ffn_up.weight", "mm.0.weight",
                           "blk.0.ssm_in.weight", "blk.0.ffn_gate_shexp.weight", "blk.3.attn_qkv.weight",
                           "enc.blk.0.attn_q.weight", "weight", "a.weight"}) {
    EXPECT_EQ(role_of(name, matrix), TensorRole::kMatrix) << name;
    EXPECT_EQ(role_of(name, experts), TensorRole::kMatrix) << name;
    EXPECT_EQ(role_of(name, vector), TensorRole::kKept) << name;
    EXPECT_EQ(role_of(name, flat), TensorRole::kKept) << name << ": ggml counts no leading ones";
  }
  for (const char* name : {"token_embd.weight", "per_layer_token_embd.weight", "output.weight"}) {
    EXPECT_EQ(role_of(name, matrix), TensorRole::kTable) << name;
  }
  for (const char* name :
       {"blk.0.attn_q.bias", "blk.0.ffn_gate_inp.weight", "blk.0.attn_norm.weight", "blk.0.ssm_conv1d.weight",
        "blk.0.shortconv.conv.weight", "v.position_embd.weight", "position_embd.weight", "token_types.weight",
        "v.patch_embd.weight", "blk.2.time_mix_decay_w1.weight", "blk.0.altup_router.weight",
        "per_layer_model_proj.weight", "blk.1.attn_rel_b.weight", "blk.1.ssm_a", "v.sam.neck.0.weight", "rope_freqs",
        "blk.1.attn_q.weight.scale"}) {
    EXPECT_EQ(role_of(name, matrix), TensorRole::kKept) << name;
  }
  EXPECT_EQ(role_of("v.patch_embd.weight", conv), TensorRole::kKept);
  EXPECT_EQ(role_of("a.conv.weight", conv), TensorRole::kMatrix);
}

TEST(RowTypes, FallBackAsLlamaCppDoes) {
  RowTypes types({});
  const auto choose = [&](GgufType wanted, Index cols) { return types.choose("w", wanted, cols); };
  EXPECT_EQ(choose(GgufType::kQ4K, 512), GgufType::kQ4K);
  EXPECT_EQ(choose(GgufType::kF32, 7), GgufType::kF32);
  EXPECT_TRUE(types.notes().empty());
  EXPECT_EQ(choose(GgufType::kQ2K, 96), GgufType::kQ4_0);
  EXPECT_EQ(choose(GgufType::kQ3K, 96), GgufType::kQ4_0);
  EXPECT_EQ(choose(GgufType::kIq4Xs, 96), GgufType::kIq4Nl);
  EXPECT_EQ(choose(GgufType::kQ4K, 96), GgufType::kQ5_0);
  EXPECT_EQ(choose(GgufType::kQ5K, 96), GgufType::kQ5_1);
  EXPECT_EQ(choose(GgufType::kQ6K, 96), GgufType::kQ8_0);
  for (const GgufType type : {GgufType::kQ4K, GgufType::kQ6K, GgufType::kQ4_0, GgufType::kQ8_0, GgufType::kIq4Nl}) {
    EXPECT_EQ(choose(type, 40), GgufType::kF16);
  }
}

TEST(RowTypes, SayWhatTookWhosePlace) {
  RowTypes types({});
  static_cast<void>(types.choose("a", GgufType::kQ4K, 96));
  static_cast<void>(types.choose("b", GgufType::kQ4K, 32));
  static_cast<void>(types.choose("c", GgufType::kQ4K, 40));
  EXPECT_THAT(types.notes(),
              ElementsAre("fallback: 1 tensors are f16, not q4_k, whose blocks of 256 their rows do not fill: 'c' (40 "
                          "columns)",
                          "fallback: 2 tensors are q5_0, not q4_k, whose blocks of 256 their rows do not fill: 'a' (96 "
                          "columns), ..."));
}

TEST(RowTypes, OnlyWhatIsAllowed) {
  RowTypes none({.is_allowed = false}), own({.type = GgufType::kQ8_0});
  expect_error(
      sinq::Errc::kBadShape, [&] { static_cast<void>(none.choose("w", GgufType::kQ4K, 96)); },
      "tensor 'w': rows of 96 are not a multiple of 256, the block of q4_k; --fallback names a type");
  EXPECT_EQ(own.choose("w", GgufType::kQ4K, 96), GgufType::kQ8_0);
  expect_error(
      sinq::Errc::kBadShape, [&] { static_cast<void>(own.choose("w", GgufType::kQ4K, 40)); },
      "nor of that of the fallback q8_0");
}

}  // namespace
}  // namespace gguf::test
