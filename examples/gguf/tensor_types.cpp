#include "gguf/tensor_types.hpp"

#include <sinq/error.hpp>
#include <sinq/io/printable.hpp>

#include <algorithm>
#include <array>

namespace gguf {
namespace {

/// What tensors that stay as they are have in their names.
constexpr std::array<std::string_view, 35> kKeptNames{"_norm.weight",  //
                                                      "ffn_gate_inp.weight",
                                                      "ffn_gate_tid2eid.weight",  // routers
                                                      "altup",
                                                      "laurel",
                                                      "per_layer_model_proj",  // Gemma 3n
                                                      "ssm_conv1d",
                                                      "shortconv.conv.weight",  // convolutions over a few tokens
                                                      "indexer.k_proj.weight",
                                                      "indexer.q_proj.weight",  // sparse attention
                                                      "time_mix_first.weight",
                                                      "time_mix_w0.weight",
                                                      "time_mix_w1.weight",  // RWKV
                                                      "time_mix_w2.weight",
                                                      "time_mix_v0.weight",
                                                      "time_mix_v1.weight",
                                                      "time_mix_v2.weight",
                                                      "time_mix_a0.weight",
                                                      "time_mix_a1.weight",
                                                      "time_mix_a2.weight",
                                                      "time_mix_g1.weight",
                                                      "time_mix_g2.weight",
                                                      "time_mix_decay_w1.weight",
                                                      "time_mix_decay_w2.weight",
                                                      "time_mix_lerp_fused.weight",
                                                      "attn_rel_b.weight",  // T5
                                                      ".position_embd",
                                                      "sam.pos_embd",
                                                      "sam.neck.",
                                                      "sam.net_",  // vision and audio
                                                      ".rel_pos",
                                                      ".patch_embd",
                                                      ".patch_merger",
                                                      "a.rvq.codebook",
                                                      "mm.a.code_embd"};
/// Positions and types of tokens of BERT.
constexpr std::array<std::string_view, 2> kKeptTensors{"position_embd.weight", "token_types.weight"};

}  // namespace

TensorRole role_of(std::string_view name, std::span<const Index> shape) {
  while (!shape.empty() && shape.front() == 1) shape = shape.subspan(1);  // as ggml counts dimensions
  if (shape.size() < 2 || !name.ends_with("weight")) return TensorRole::kKept;
  const bool kept = std::any_of(kKeptNames.begin(), kKeptNames.end(),
                                [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
  if (kept || std::find(kKeptTensors.begin(), kKeptTensors.end(), name) != kKeptTensors.end()) return TensorRole::kKept;
  const bool table = name == "token_embd.weight" || name == "per_layer_token_embd.weight" || name == "output.weight";
  return table ? TensorRole::kTable : TensorRole::kMatrix;
}

GgufType llama_fallback(GgufType wanted, Index cols) noexcept {
  if (cols % block_size(wanted) == 0) return wanted;
  GgufType out = GgufType::kF16;
  switch (wanted) {
    case GgufType::kQ2K:
    case GgufType::kQ3K:
      out = GgufType::kQ4_0;
      break;
    case GgufType::kIq3Xxs:
    case GgufType::kIq3S:
    case GgufType::kIq4Xs:
      out = GgufType::kIq4Nl;
      break;
    case GgufType::kQ4K:
      out = GgufType::kQ5_0;
      break;
    case GgufType::kQ5K:
      out = GgufType::kQ5_1;
      break;
    case GgufType::kQ6K:
      out = GgufType::kQ8_0;
      break;
    default:
      break;
  }
  return cols % block_size(out) == 0 ? out : GgufType::kF16;
}

GgufType RowTypes::choose(const std::string& tensor, GgufType wanted, Index cols) {
  if (cols % block_size(wanted) == 0) return wanted;
  const GgufType out = fallback_.type.value_or(llama_fallback(wanted, cols));
  if (!fallback_.is_allowed || cols % block_size(out) != 0) {
    throw sinq::Error(sinq::Errc::kBadShape,
                      "tensor " + sinq::io::detail::name_text(tensor) + ": rows of " + std::to_string(cols) +
                          " are not a multiple of " + std::to_string(block_size(wanted)) + ", the block of " +
                          std::string(name(wanted)) +
                          (fallback_.is_allowed ? ", nor of that of the fallback " + std::string(name(out))
                                                : "; --fallback names a type for such tensors"));
  }
  Use& use = uses_[{wanted, out}];
  if (use.count++ == 0) use = {1, tensor, cols};
  return out;
}

std::vector<std::string> RowTypes::notes() const {
  std::vector<std::string> out;
  for (const auto& [types, use] : uses_) {
    const auto& [wanted, given] = types;
    out.push_back("fallback: " + std::to_string(use.count) + " tensors are " + std::string(name(given)) + ", not " +
                  std::string(name(wanted)) + ", whose blocks of " + std::to_string(block_size(wanted)) +
                  " their rows do not fill: " + sinq::io::detail::name_text(use.first) + " (" +
                  std::to_string(use.cols) + " columns)" + (use.count > 1 ? ", ..." : ""));
  }
  return out;
}

}  // namespace gguf
