#include "gguf/type_rules.hpp"

#include <sinq/error.hpp>

#include "common/glob.hpp"

namespace gguf {

TypeRules::TypeRules(const ConvertOptions& options)
    : options_(options), rows_(options.fallback), used_(options.type_of.size(), false) {}

TypeRules::Choice TypeRules::choose(const std::string& tensor, const std::string& source, TensorRole role, Index cols,
                                    std::optional<GgufType> blocks) {
  std::optional<GgufType> wanted;
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (!common::matches(options_.type_of[i].pattern, tensor)) continue;
    wanted = options_.type_of[i].type;
    used_[i] = true;
  }
  const bool is_table = role == TensorRole::kTable;
  if (!wanted && is_table) wanted = options_.embeddings;
  // Nobody gains by an embedding table that was decoded.
  if (!wanted && is_table && blocks) wanted = blocks;
  if (!wanted && options_.mixture) return {.type = llama_fallback(GgufType::kQ2K, cols), .is_free = true};
  const GgufType usual = is_table ? options_.table_type() : options_.type;
  return {.type = rows_.choose(source, wanted.value_or(usual), cols), .is_free = false};
}

void TypeRules::require_use() const {
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (used_[i]) continue;
    throw sinq::Error(sinq::Errc::kBadConfig,
                      "--type-of '" + options_.type_of[i].pattern + "' fits no tensor that is quantized");
  }
}

}  // namespace gguf
