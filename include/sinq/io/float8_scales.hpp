#pragma once

#include <sinq/error.hpp>
#include <sinq/io/float8_matrix.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/mapped_file.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

namespace sinq::inline SINQ_ABI::io::detail {

/// Two positive numbers; nothing where there are none. Throws Errc::kBadFile for anything else.
[[nodiscard]] inline std::optional<Float8Block> block_at(const Json& object, const char* key, const std::string& what) {
  if (!object.is_object() || !object.contains(key) || object[key].is_null()) return std::nullopt;
  const Json& block = object[key];
  const auto extent = [&](std::size_t i) {
    return block.is_array() && block.size() == 2 && block[i].is_number_unsigned() ? block[i].get<std::uint32_t>() : 0U;
  };
  if (extent(0) == 0 || extent(1) == 0) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": ", key, " is not two positive numbers"));
  }
  return Float8Block{static_cast<Index>(extent(0)), static_cast<Index>(extent(1))};
}

/// The blocks of 8-bit floats that a config.json names: DeepSeek's and transformers' `weight_block_size`, or
/// compressed-tensors' `block_structure`, of the model or of a part of it; 128 x 128 if it names none, or is not there.
[[nodiscard]] inline Float8Block float8_block(const std::filesystem::path& config) {
  std::error_code error;
  if (!std::filesystem::exists(config, error)) return {};
  const MappedFile file = MappedFile::open(config);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  const auto json = Json::parse(text, text + file.bytes().size(), nullptr, false);
  const auto block_of = [&](const Json& model) -> std::optional<Float8Block> {
    if (!model.is_object() || !model.contains("quantization_config")) return std::nullopt;
    const Json& quantization = model["quantization_config"];
    if (const auto block = block_at(quantization, "weight_block_size", config.string())) return block;
    if (!quantization.is_object() || !quantization.contains("config_groups")) return std::nullopt;
    for (const auto& group : quantization["config_groups"]) {
      if (!group.is_object() || !group.contains("weights")) continue;
      if (const auto block = block_at(group["weights"], "block_structure", config.string())) return block;
    }
    return std::nullopt;
  };
  if (const auto block = block_of(json)) return *block;
  if (json.is_object()) {
    for (const auto& part : json) {
      if (const auto block = block_of(part)) return *block;
    }
  }
  return {};
}

/// What stands beside a matrix of 8-bit floats and belongs to it.
template <class Tensor>
struct Float8Companions {
  const Tensor* scale = nullptr;
  std::vector<const Tensor*> activations;
};

/// Finds the companions of the tensor `name` in `by_name`, a sorted map of all tensors. Throws Errc::kBadFile for two
/// scales, Errc::kUnsupported for a neighbour that might be one and is not known: weights without their scales would be
/// wrong by any factor.
template <class Map>
[[nodiscard]] auto float8_companions(const std::string& name, const Map& by_name) {
  using Tensor = std::remove_pointer_t<typename Map::mapped_type>;
  Float8Companions<std::remove_const_t<Tensor>> out;
  for (const std::string_view suffix : kFloat8ScaleSuffixes) {
    const auto at = by_name.find(sinq::detail::text(name, suffix));
    if (at == by_name.end()) continue;
    if (out.scale != nullptr) {
      SINQ_THROW(Errc::kBadFile,
                 sinq::detail::text(out.scale->file.name(), ": tensor ", name_text(name), " has two scales, ",
                                    name_text(out.scale->info.name), " and ", name_text(at->first)));
    }
    out.scale = at->second;
  }
  constexpr std::string_view kLeaf = ".weight";
  if (!name.ends_with(kLeaf)) return out;
  const std::string module = name.substr(0, name.size() - kLeaf.size() + 1);
  for (auto at = by_name.lower_bound(module); at != by_name.end() && at->first.starts_with(module); ++at) {
    const std::string_view leaf = at->first.substr(module.size());
    if (at->second == out.scale || leaf.find('.') != std::string_view::npos) continue;
    if (std::find(kFloat8ActivationScales.begin(), kFloat8ActivationScales.end(), leaf) !=
        kFloat8ActivationScales.end()) {
      out.activations.push_back(at->second);
    } else if (leaf.find("scale") != std::string_view::npos || leaf.find("zero_point") != std::string_view::npos) {
      SINQ_THROW(Errc::kUnsupported,
                 sinq::detail::text(at->second->file.name(), ": tensor ", name_text(at->first),
                                    " beside the 8-bit floats ", name_text(name), ": such a scale is not known"));
    }
  }
  return out;
}

}  // namespace sinq::inline SINQ_ABI::io::detail
