// Writes a checkpoint of any size for measuring: shapes of Qwen3-4B, as many blocks as asked for, random bf16 weights.
#include <sinq/half.hpp>
#include <sinq/io/atomic_file.hpp>
#include <sinq/io/checkpoint_writer.hpp>

#include "common/checks.hpp"
#include "common/command_line.hpp"
#include "common/output_folder.hpp"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

namespace {

using sinq::Index;
using sinq::io::DType;
using sinq::io::TensorGroup;
using sinq::io::TensorInfo;

constexpr Index kVocabulary = 151936, kHidden = 2560, kIntermediate = 9728, kHeads = 32, kKeyHeads = 8, kHeadDim = 128;

void add(std::vector<TensorGroup>& groups, const std::string& name, std::vector<Index> shape) {
  groups.push_back({{TensorInfo{"model." + name + ".weight", DType::kBf16, std::move(shape)}}, {}});
}

void add_block(std::vector<TensorGroup>& groups, Index block) {
  const std::string layer = "layers." + std::to_string(block) + ".";
  add(groups, layer + "input_layernorm", {kHidden});
  add(groups, layer + "self_attn.q_proj", {kHeads * kHeadDim, kHidden});
  add(groups, layer + "self_attn.k_proj", {kKeyHeads * kHeadDim, kHidden});
  add(groups, layer + "self_attn.v_proj", {kKeyHeads * kHeadDim, kHidden});
  add(groups, layer + "self_attn.o_proj", {kHidden, kHeads * kHeadDim});
  add(groups, layer + "self_attn.q_norm", {kHeadDim});
  add(groups, layer + "self_attn.k_norm", {kHeadDim});
  add(groups, layer + "post_attention_layernorm", {kHidden});
  add(groups, layer + "mlp.gate_proj", {kIntermediate, kHidden});
  add(groups, layer + "mlp.up_proj", {kIntermediate, kHidden});
  add(groups, layer + "mlp.down_proj", {kHidden, kIntermediate});
}

std::uint64_t bytes_of(const std::vector<TensorGroup>& groups) {
  std::uint64_t sum = 0;
  for (const auto& group : groups) sum += *tensor_bytes(group.tensors[0].dtype, group.tensors[0].shape);
  return sum;
}

/// Quantiles of a normal distribution (Box-Muller over a regular grid), drawn from by a fast generator.
class Weights {
 public:
  Weights() {
    constexpr int kRadii = 256, kAngles = 256;
    for (int r = 0; r < kRadii; ++r) {
      for (int a = 0; a < kAngles; ++a) {
        const double radius = std::sqrt(-2.0 * std::log((r + 0.5) / kRadii));
        const double value = 0.02 * radius * std::cos(2.0 * std::numbers::pi * (a + 0.5) / kAngles);
        table_.push_back(sinq::float_to_bfloat16(static_cast<float>(value)));
      }
    }
  }
  void fill(std::vector<std::uint16_t>& out) {
    for (std::size_t i = 0; i < out.size(); i += 4) {
      state_ += 0x9E3779B97F4A7C15;  // splitmix64
      std::uint64_t z = (state_ ^ (state_ >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      for (std::size_t k = 0; k < 4 && i + k < out.size(); ++k) out[i + k] = table_[(z >> (16 * k)) & 0xFFFF];
    }
  }

 private:
  std::vector<std::uint16_t> table_;
  std::uint64_t state_ = 1;
};

void write_text(const std::filesystem::path& path, const std::string& text) {
  sinq::io::AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

void generate(const std::filesystem::path& target, common::Existing existing, double gigabytes) {
  common::require_new_folder(target, existing, {});
  sinq::io::AtomicFolder folder(target, existing);
  std::vector<TensorGroup> groups;
  add(groups, "embed_tokens", {kVocabulary, kHidden});
  Index blocks = 0;
  do {
    add_block(groups, blocks++);
  } while (static_cast<double>(bytes_of(groups)) < gigabytes * 1e9);
  add(groups, "norm", {kHidden});
  const auto plan = sinq::io::plan_checkpoint(groups, 2'000'000'000, {{"format", "pt"}});
  sinq::io::CheckpointWriter writer(folder.path(), plan);
  Weights weights;
  std::vector<std::uint16_t> part;
  for (const auto& group : groups) {
    const auto& tensor = group.tensors[0];
    const std::uint64_t size = *tensor_bytes(tensor.dtype, tensor.shape);
    constexpr std::uint64_t kPart = std::uint64_t{8} << 20;
    for (std::uint64_t at = 0; at < size; at += kPart) {
      part.resize(std::min(kPart, size - at) / 2);
      weights.fill(part);
      writer.write(tensor.name, at, std::as_bytes(std::span(part)));
    }
  }
  writer.finish();
  write_text(
      folder.path() / "config.json",
      R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2560, )"
      R"("intermediate_size": 9728, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, )"
      R"("max_position_embeddings": 40960, "rms_norm_eps": 1e-06, "tie_word_embeddings": true, )"
      R"("num_hidden_layers": )" +
          std::to_string(blocks) + "}\n");
  folder.commit();
  std::printf("%s: %td blocks, %.3f GB in %zu files\n", target.c_str(), blocks,
              static_cast<double>(plan.file_bytes()) / 1e9, plan.shards.size());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes a checkpoint of random weights in the shapes of Qwen3-4B", "generate_checkpoint");
  std::filesystem::path folder;
  common::Existing existing = common::Existing::kRefused;
  double gigabytes = 4;
  app.add_option("DIR", folder)->required();
  app.add_option("--gigabytes", gigabytes, "at least")->check(common::kPositive)->capture_default_str();
  common::add_force_flag(app, existing);
  return common::run_main(app, argc, argv, [&] { generate(folder, existing, gigabytes); });
}
