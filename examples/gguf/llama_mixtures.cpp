#include "gguf/llama_mixtures.hpp"

#include "gguf/tensor_types.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace gguf {
namespace {

using sinq::io::GgufMetadata;
using sinq::io::GgufTensorInfo;

/// N of "blk.N.ffn_down.weight", also behind a prefix; 0 of others.
Index block_of(std::string_view name) {
  constexpr std::string_view kPrefix = "blk.";
  const auto at = name.find(kPrefix);
  Index out = 0;
  if (at != std::string_view::npos) std::from_chars(name.data() + at + kPrefix.size(), name.data() + name.size(), out);
  return out;
}

bool contains(std::string_view name, std::string_view part) { return name.find(part) != std::string_view::npos; }

/// Values, alone or together with what they are computed from.
bool holds_values(std::string_view name) {
  return contains(name, "attn_v.weight") || contains(name, "attn_qkv.weight") || contains(name, "attn_kv_b.weight");
}

/// What the rules ask about a model.
struct ModelFacts {
  explicit ModelFacts(const GgufMetadata& metadata, const std::vector<GgufTensorInfo>& tensors) {
    const std::string prefix = metadata.get<std::string>("general.architecture") + ".";
    // Of a list, one number per block, the first counts.
    const auto number = [&](const char* key, Index otherwise) -> Index {
      const auto* value = metadata.find(prefix + key);
      const auto* list = value == nullptr ? nullptr : std::get_if<sinq::io::GgufArray>(value);
      if (list == nullptr) return metadata.integer_or(prefix + key, otherwise);
      const auto* numbers = std::get_if<std::vector<std::int32_t>>(list);
      return numbers == nullptr || numbers->empty() ? otherwise : numbers->front();
    };
    blocks = number("block_count", 1);
    experts = number("expert_count", 0);
    const Index heads = number("attention.head_count", 1);
    queries_per_key = heads / std::max<Index>(number("attention.head_count_kv", heads), 1);
    for (const auto& tensor : tensors) {
      has_head = has_head || tensor.name == "output.weight";
      if (holds_values(tensor.name)) value_blocks.push_back(block_of(tensor.name));
    }
    std::sort(value_blocks.begin(), value_blocks.end());
  }

  Index blocks = 0, experts = 0, queries_per_key = 0;
  bool has_head = false;
  std::vector<Index> value_blocks;  ///< those with values, ascending
};

/// The first and the last eighth, and every third between.
bool is_favoured(Index i, Index count) { return i < count / 8 || i >= 7 * count / 8 || (i - count / 8) % 3 == 2; }

/// One file's rules: what they know when it comes to a tensor.
class Rules {
 public:
  Rules(const LlamaMixture& mixture, ModelFacts facts)
      : name_(mixture.name), type_(mixture.type), facts_(std::move(facts)) {}

  [[nodiscard]] GgufType of(const GgufTensorInfo& tensor) const {
    const std::string_view name = tensor.name;
    if (name == "output.weight" || (!facts_.has_head && role_of(name, tensor.shape) == TensorRole::kTable)) {
      return tensor.shape.back() % block_size(type_) != 0 ? GgufType::kQ8_0 : GgufType::kQ6K;
    }
    if (role_of(name, tensor.shape) == TensorRole::kTable) return type_;
    if (holds_values(name)) return values(block_of(name));
    const bool key = contains(name, "attn_k.weight"), query = contains(name, "attn_q.weight");
    if (key && facts_.experts == 8) return GgufType::kQ8_0;
    if (key || query) return is("iq3_xs") ? GgufType::kIq3Xxs : type_;
    if (contains(name, "attn_output.weight")) return output();
    const Index block = block_of(name);
    if (contains(name, "ffn_down")) return down(block);
    if (contains(name, "ffn_gate") || contains(name, "ffn_up")) {
      const bool middle = block >= facts_.blocks / 8 && block < 7 * facts_.blocks / 8;
      return is("iq3_xs") && middle ? GgufType::kIq3Xxs : type_;
    }
    return type_;
  }

 private:
  [[nodiscard]] bool is(std::string_view name) const { return name_ == name; }

  [[nodiscard]] GgufType values(Index block) const {
    if (facts_.experts == 8) return GgufType::kQ8_0;
    const bool shared = facts_.queries_per_key >= 4;  // few weights, that many queries depend on
    const auto& all = facts_.value_blocks;
    const Index count = static_cast<Index>(all.size());
    const Index i = std::lower_bound(all.begin(), all.end(), block) - all.begin();
    GgufType out = type_;
    if (is("q2_k")) out = shared ? GgufType::kQ4K : GgufType::kQ3K;
    if ((is("q2_k_s") || is("iq3_xs") || is("iq3_s")) && shared) out = GgufType::kQ4K;
    if (is("iq3_m")) out = GgufType::kQ4K;
    if (is("q3_k_m")) out = i < 2 ? GgufType::kQ5K : GgufType::kQ4K;
    if (is("q3_k_l") || (is("iq4_xs") && shared) || (is("q4_k_s") && i < 4)) out = GgufType::kQ5K;
    if ((is("q4_k_m") || is("q5_k_m")) && is_favoured(i, count)) out = GgufType::kQ6K;
    const bool is_70b = facts_.blocks == 80;
    return is_70b && (out == GgufType::kQ3K || out == GgufType::kQ4K) ? GgufType::kQ5K : out;
  }

  [[nodiscard]] GgufType down(Index block) const {
    const Index blocks = facts_.blocks;
    const bool first = block < blocks / 8;
    if (is("q2_k")) return GgufType::kQ3K;
    if (is("q2_k_s") && first) return GgufType::kQ4K;
    if (is("q3_k_m")) return block < blocks / 16 ? GgufType::kQ5K : GgufType::kQ4K;
    if (is("q3_k_l")) return GgufType::kQ5K;
    if (is("iq3_m") && (first || (facts_.experts == 8 && is_favoured(block, blocks)))) return GgufType::kQ4K;
    if ((is("q4_k_m") || is("q5_k_m")) && is_favoured(block, blocks)) return GgufType::kQ6K;
    if ((is("q4_k_s") || is("iq4_xs")) && first) return GgufType::kQ5K;
    return type_;
  }

  [[nodiscard]] GgufType output() const {
    const bool is_exempt = is("q2_k_s") || is("q3_k_l") || type_ == GgufType::kQ5K || type_ == GgufType::kQ6K;
    if (facts_.experts == 8) return is_exempt ? type_ : GgufType::kQ5K;
    if (is("q2_k")) return GgufType::kQ3K;
    if (is("q3_k_m") || is("iq3_m")) return GgufType::kQ4K;
    if (is("q3_k_l")) return GgufType::kQ5K;
    return type_;
  }

  std::string_view name_;
  GgufType type_;
  ModelFacts facts_;
};

}  // namespace

const LlamaMixture* llama_mixture(std::string_view name) noexcept {
  const auto find = [](std::string_view wanted) {
    return std::find_if(kLlamaMixtures.begin(), kLlamaMixtures.end(), [&](const auto& m) { return m.name == wanted; });
  };
  const bool is_short = name == "q3_k" || name == "q4_k" || name == "q5_k";
  const auto at = is_short ? find(std::string(name) + "_m") : find(name);
  return at == kLlamaMixtures.end() ? nullptr : &*at;
}

std::vector<GgufType> llama_types(const LlamaMixture& mixture, const GgufMetadata& metadata,
                                  const std::vector<GgufTensorInfo>& tensors) {
  const Rules rules(mixture, ModelFacts(metadata, tensors));
  std::vector<GgufType> out;
  for (const auto& tensor : tensors) {
    const bool is_kept = role_of(tensor.name, tensor.shape) == TensorRole::kKept;
    out.push_back(is_kept ? tensor.type : llama_fallback(rules.of(tensor), tensor.shape.back()));
  }
  return out;
}

}  // namespace gguf
