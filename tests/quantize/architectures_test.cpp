#include "quantize/linear_layers.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace convert::test {
namespace {

using sinq::Index;
using sinq::io::DType;

struct Published {
  const char* name;
  std::vector<Index> shape;
  const char* kept_because;  ///< empty: it is quantized
  DType dtype = DType::kBf16;
};

struct Architecture {
  const char* name;
  std::vector<Published> tensors;
};

constexpr const char* kQuantized = "";
constexpr const char* kVector = "a vector";
constexpr const char* kRouter = "a router";
constexpr const char* kEmbedding = "an embedding";
constexpr const char* kHead = "a head";
constexpr const char* kTower = "of a vision or audio tower or its projector";
constexpr const char* kOutside = "outside of the blocks";
constexpr const char* kRelative = "a relative position bias";

/// One tensor of each kind that published checkpoints of the architecture have.
const std::vector<Architecture> kArchitectures{
    {"Llama 3 8B",
     {{"model.embed_tokens.weight", {128256, 4096}, kEmbedding},
      {"model.layers.0.self_attn.q_proj.weight", {4096, 4096}, kQuantized},
      {"model.layers.31.self_attn.k_proj.weight", {1024, 4096}, kQuantized},
      {"model.layers.0.self_attn.o_proj.weight", {4096, 4096}, kQuantized},
      {"model.layers.0.mlp.gate_proj.weight", {14336, 4096}, kQuantized},
      {"model.layers.0.mlp.down_proj.weight", {4096, 14336}, kQuantized},
      {"model.layers.0.input_layernorm.weight", {4096}, kVector},
      {"model.norm.weight", {4096}, kVector},
      {"lm_head.weight", {128256, 4096}, kHead}}},
    {"Mistral 7B",
     {{"model.layers.0.self_attn.v_proj.weight", {1024, 4096}, kQuantized},
      {"model.layers.0.mlp.up_proj.weight", {14336, 4096}, kQuantized},
      {"model.embed_tokens.weight", {32000, 4096}, kEmbedding},
      {"lm_head.weight", {32000, 4096}, kHead}}},
    {"Qwen3 8B FP8",
     {{"model.layers.0.self_attn.q_proj.weight", {4096, 4096}, kQuantized, DType::kF8E4M3},
      {"model.layers.0.self_attn.q_norm.weight", {128}, kVector},
      {"model.embed_tokens.weight", {151936, 4096}, kEmbedding}}},
    {"Qwen3-MoE 30B-A3B",
     {{"model.layers.0.mlp.gate.weight", {128, 2048}, kRouter},
      {"model.layers.0.mlp.experts.127.gate_proj.weight", {768, 2048}, kQuantized},
      {"model.layers.0.mlp.experts.0.down_proj.weight", {2048, 768}, kQuantized},
      {"model.layers.0.self_attn.o_proj.weight", {2048, 4096}, kQuantized}}},
    {"Qwen2-MoE 57B-A14B",
     {{"model.layers.0.mlp.shared_expert_gate.weight", {1, 3584}, kRouter},
      {"model.layers.0.mlp.shared_expert.gate_proj.weight", {20480, 3584}, kQuantized},
      {"model.layers.0.self_attn.q_proj.bias", {3584}, kVector}}},
    {"Qwen3-Next 80B-A3B",
     {{"model.layers.0.linear_attn.in_proj_qkvz.weight", {12288, 2048}, kQuantized},
      {"model.layers.0.linear_attn.conv1d.weight", {8192, 1, 4}, "3 dimensions"},
      {"model.layers.0.mlp.gate.weight", {512, 2048}, kRouter},
      {"mtp.fc.weight", {2048, 4096}, kOutside},
      {"mtp.layers.0.mlp.gate.weight", {512, 2048}, kRouter},
      {"mtp.layers.0.self_attn.q_proj.weight", {8192, 2048}, kQuantized}}},
    {"Mixtral 8x7B",
     {{"model.layers.0.block_sparse_moe.gate.weight", {8, 4096}, kRouter},
      {"model.layers.0.block_sparse_moe.experts.0.w1.weight", {14336, 4096}, kQuantized},
      {"model.layers.0.block_sparse_moe.experts.7.w2.weight", {4096, 14336}, kQuantized}}},
    {"DeepSeek-V3",
     {{"model.layers.0.self_attn.q_a_proj.weight", {1536, 7168}, kQuantized, DType::kF8E4M3},
      {"model.layers.0.self_attn.q_a_layernorm.weight", {1536}, kVector},
      {"model.layers.0.self_attn.kv_a_proj_with_mqa.weight", {576, 7168}, kQuantized, DType::kF8E4M3},
      {"model.layers.0.self_attn.kv_b_proj.weight", {32768, 512}, kQuantized, DType::kF8E4M3},
      {"model.layers.3.mlp.gate.weight", {256, 7168}, kRouter},
      {"model.layers.3.mlp.gate.e_score_correction_bias", {256}, kVector, DType::kF32},
      {"model.layers.3.mlp.experts.255.up_proj.weight", {2048, 7168}, kQuantized, DType::kF8E4M3},
      {"model.layers.3.mlp.shared_experts.up_proj.weight", {2048, 7168}, kQuantized, DType::kF8E4M3},
      {"model.layers.61.embed_tokens.weight", {129280, 7168}, kEmbedding},
      {"model.layers.61.enorm.weight", {7168}, kVector},
      {"model.layers.61.eh_proj.weight", {7168, 14336}, kQuantized},
      {"model.layers.61.shared_head.norm.weight", {7168}, kVector},
      {"model.layers.61.shared_head.head.weight", {129280, 7168}, kHead},
      {"lm_head.weight", {129280, 7168}, kHead}}},
    {"Gemma 3 4B",
     {{"language_model.model.embed_tokens.weight", {262208, 2560}, kEmbedding},
      {"language_model.model.layers.0.self_attn.q_proj.weight", {2048, 2560}, kQuantized},
      {"vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", {1152, 1152}, kTower},
      {"vision_tower.vision_model.encoder.layers.26.mlp.fc2.weight", {1152, 4304}, kTower},
      {"vision_tower.vision_model.embeddings.position_embedding.weight", {4096, 1152}, kTower},
      {"vision_tower.vision_model.embeddings.patch_embedding.weight", {1152, 3, 14, 14}, "4 dimensions"},
      {"multi_modal_projector.mm_input_projection_weight", {1152, 2560}, kTower}}},
    {"Gemma 3n E2B",
     {{"model.language_model.layers.0.altup.modality_router.weight", {4, 2048}, kRouter},
      {"model.language_model.layers.0.altup.prediction_coefs.weight", {16, 4}, kRouter},
      {"model.language_model.layers.0.laurel.linear_left.weight", {64, 2048}, kQuantized},
      {"model.language_model.layers.0.per_layer_input_gate.weight", {256, 2048}, kQuantized},
      {"model.language_model.embed_tokens_per_layer.weight", {262144, 7680}, kEmbedding},
      {"model.language_model.per_layer_model_projection.weight", {7680, 2048}, kOutside},
      {"model.audio_tower.conformer.0.attention.attn.q_proj.weight", {1536, 1536}, kTower}}},
    {"Phi-3.5-MoE",
     {{"model.layers.0.block_sparse_moe.gate.weight", {16, 4096}, kRouter},
      {"model.layers.0.block_sparse_moe.experts.0.w3.weight", {6400, 4096}, kQuantized},
      {"model.layers.0.self_attn.q_proj.weight", {4096, 4096}, kQuantized}}},
    {"gpt-oss 20B",
     {{"model.layers.0.mlp.router.weight", {32, 2880}, kRouter},
      {"model.layers.0.mlp.router.bias", {32}, kVector},
      {"model.layers.0.mlp.experts.gate_up_proj_blocks", {32, 5760, 90, 16}, "4 dimensions", DType::kU8},
      {"model.layers.0.mlp.experts.gate_up_proj", {32, 2880, 5760}, "3 dimensions"},
      {"model.layers.0.mlp.experts.gate_up_proj_bias", {32, 5760}, "not a layer's .weight"},
      {"model.layers.0.self_attn.q_proj.weight", {4096, 2880}, kQuantized},
      {"model.layers.0.self_attn.sinks", {64}, kVector}}},
    {"Llama 4 Scout",
     {{"language_model.model.layers.0.feed_forward.router.weight", {16, 5120}, kRouter},
      {"language_model.model.layers.0.feed_forward.experts.gate_up_proj", {16, 5120, 16384}, "3 dimensions"},
      {"language_model.model.layers.0.feed_forward.shared_expert.gate_proj.weight", {8192, 5120}, kQuantized},
      {"vision_model.model.layers.0.self_attn.q_proj.weight", {1408, 1408}, kTower},
      {"vision_model.vision_adapter.mlp.fc1.weight", {4096, 5632}, kTower},
      {"multi_modal_projector.linear_1.weight", {5120, 4096}, kTower}}},
    {"Qwen2.5-VL 7B",
     {{"visual.blocks.0.attn.qkv.weight", {3840, 1280}, kTower},
      {"visual.merger.mlp.0.weight", {5120, 5120}, kTower},
      {"visual.patch_embed.proj.weight", {1280, 3, 2, 14, 14}, "5 dimensions"},
      {"model.layers.0.self_attn.q_proj.weight", {3584, 3584}, kQuantized}}},
    {"T5 base",
     {{"shared.weight", {32128, 768}, kOutside},
      {"encoder.embed_tokens.weight", {32128, 768}, kEmbedding},
      {"encoder.block.0.layer.0.SelfAttention.q.weight", {768, 768}, kQuantized},
      {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {32, 12}, kRelative},
      {"encoder.block.0.layer.1.DenseReluDense.wi.weight", {3072, 768}, kQuantized},
      {"decoder.block.11.layer.1.EncDecAttention.k.weight", {768, 768}, kQuantized}}},
    {"Hunyuan-Large",
     {{"model.layers.0.mlp.gate.wg.weight", {16, 6400}, kRouter},
      {"model.layers.0.mlp.experts.0.gate_proj.weight", {18304, 6400}, kQuantized},
      {"model.layers.0.mlp.shared_mlp.gate_proj.weight", {18304, 6400}, kQuantized}}},
    {"OLMo 2 7B",
     {{"model.layers.0.self_attn.q_proj.weight", {4096, 4096}, kQuantized},
      {"model.layers.0.self_attn.q_norm.weight", {4096}, kVector},
      {"model.layers.0.mlp.down_proj.weight", {4096, 11008}, kQuantized}}},
    {"Falcon-Mamba 7B",
     {{"backbone.embeddings.weight", {65024, 4096}, kEmbedding},
      {"backbone.layers.0.mixer.in_proj.weight", {16384, 4096}, kQuantized},
      {"backbone.layers.0.mixer.out_proj.weight", {4096, 8192}, kQuantized},
      {"backbone.layers.0.mixer.x_proj.weight", {288, 8192}, kQuantized},
      {"backbone.layers.0.mixer.conv1d.weight", {8192, 1, 4}, "3 dimensions"},
      {"backbone.layers.0.mixer.A_log", {8192, 16}, "not a layer's .weight"},
      {"backbone.layers.0.mixer.D", {8192}, kVector}}},
    {"Kimi-VL A3B",
     {{"vision_tower.encoder.blocks.0.wqkv.weight", {3456, 1152}, kTower},
      {"multi_modal_projector.linear_1.weight", {4608, 4608}, kTower},
      {"language_model.model.layers.1.mlp.gate.weight", {64, 2048}, kRouter},
      {"language_model.model.layers.1.self_attn.kv_a_proj_with_mqa.weight", {576, 2048}, kQuantized},
      {"language_model.lm_head.weight", {163840, 2048}, kHead}}},
    {"Granite-MoE 1B",
     {{"model.layers.0.block_sparse_moe.router.layer.weight", {32, 1024}, kRouter},
      {"model.layers.0.block_sparse_moe.input_linear.weight", {32, 1024, 1024}, "3 dimensions"}}},
    {"DBRX",
     {{"transformer.wte.weight", {100352, 6144}, kEmbedding},
      {"transformer.blocks.0.norm_attn_norm.attn.Wqkv.weight", {8192, 6144}, kQuantized},
      {"transformer.blocks.0.norm_attn_norm.norm_1.weight", {6144}, kVector},
      {"transformer.blocks.0.ffn.router.layer.weight", {16, 6144}, kRouter},
      {"transformer.blocks.0.ffn.experts.mlp.w1", {172032, 6144}, "not a layer's .weight"}}},
    {"Command R+",
     {{"model.layers.0.self_attn.q_norm.weight", {96, 128}, "a norm"},
      {"model.layers.0.self_attn.q_proj.weight", {12288, 12288}, kQuantized}}},
    {"GPT-2",
     {{"wte.weight", {50257, 768}, kEmbedding},
      {"wpe.weight", {1024, 768}, kEmbedding},
      {"h.0.attn.c_attn.weight", {768, 2304}, kQuantized},
      {"h.0.attn.bias", {1, 1, 1024, 1024}, "4 dimensions"}}},
    {"BERT base",
     {{"bert.embeddings.word_embeddings.weight", {30522, 768}, kEmbedding},
      {"bert.encoder.layer.0.output.dense.weight", {768, 3072}, kQuantized},
      {"bert.pooler.dense.weight", {768, 768}, kOutside}}},
    {"MiniCPM-V 2.6",
     {{"llm.model.layers.0.self_attn.q_proj.weight", {3584, 3584}, kQuantized},
      {"vpm.encoder.layers.0.self_attn.q_proj.weight", {1152, 1152}, kTower},
      {"resampler.kv_proj.weight", {3584, 1152}, kTower}}}};

TEST(Architectures, PublishedTensorsAreQuantizedOrKeptForAReason) {
  std::set<std::string> reasons;
  for (const Architecture& architecture : kArchitectures) {
    for (const Published& tensor : architecture.tensors) {
      const std::string reason = reason_to_keep({tensor.name, tensor.dtype, tensor.shape});
      EXPECT_EQ(reason, tensor.kept_because) << architecture.name << ": " << tensor.name;
      EXPECT_EQ(is_linear_layer({tensor.name, tensor.dtype, tensor.shape}), reason.empty()) << tensor.name;
      reasons.insert(reason);
    }
  }
  EXPECT_GE(kArchitectures.size(), 12U);
  EXPECT_GE(reasons.size(), 10U);
}

TEST(Architectures, IntegersAreKeptForTheirType) {
  EXPECT_EQ(reason_to_keep({"model.layers.0.mlp.up_proj.weight", DType::kI8, {8, 8}}), "dtype I8");
  EXPECT_EQ(reason_to_keep({"model.layers.0.mlp.up_proj.weight", DType::kBf16, {0, 8}}), "no elements");
  EXPECT_EQ(reason_to_keep({"", DType::kBf16, {8, 8}}), kOutside);
}

}  // namespace
}  // namespace convert::test
