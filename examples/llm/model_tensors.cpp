#include "llm/model_tensors.hpp"

#include "llm/model.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace llm {

std::set<std::string> model_tensors(const ModelConfig& config) {
  std::set<std::string> out{kEmbeddingName, kFinalNormName};
  if (!config.tied_head) out.insert(kHeadName);
  for (Index layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = block_name(layer);
    out.insert({prefix + kAttentionNormName, prefix + kMlpNormName});
    if (config.query_key_norm) out.insert({prefix + kQueryNormName, prefix + kKeyNormName});
    for (std::size_t i = 0; i < kBlockLinears.size(); ++i) {
      const std::string name = LinearId{layer, i}.name();
      out.insert(name + ".weight");
      if (linear_shape(config, i).bias) out.insert(name + ".bias");
    }
  }
  return out;
}

bool is_redundant(const std::string& name, const ModelConfig& config) {
  constexpr std::array<std::string_view, 3> kRotaryBuffers{".rotary_emb.inv_freq", ".rotary_emb.cos_cached",
                                                           ".rotary_emb.sin_cached"};
  if (config.tied_head && name == kHeadName) return true;
  return std::any_of(kRotaryBuffers.begin(), kRotaryBuffers.end(),
                     [&](std::string_view buffer) { return name.ends_with(buffer); });
}

}  // namespace llm
