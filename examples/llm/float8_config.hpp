#pragma once

#include "llm/json_file.hpp"

#include <algorithm>
#include <string>

namespace llm {

/// Whether a "quantization_config" says that matrices are 8-bit floats with scales, and nothing more: reading undoes
/// that (sinq::io::Checkpoint). How activations were to be rounded does not matter.
[[nodiscard]] inline bool is_float8_config(const Json& quantization) {
  const auto text = [](const Json& object, const char* key) {
    const bool is_text = object.is_object() && object.contains(key) && object[key].is_string();
    return is_text ? object[key].get<std::string>() : std::string();
  };
  const std::string method = text(quantization, "quant_method");
  if (method == "fp8" || method == "fbgemm_fp8") return true;
  if (method == "modelopt") return text(quantization, "quant_algo").starts_with("FP8");
  if (method != "compressed-tensors" || !has(quantization, "config_groups")) return false;
  // Rotations and sparsity would have to be undone as well.
  const auto is_more = [&](const char* key) { return has(quantization, key) && !quantization[key].empty(); };
  if (is_more("transform_config")) return false;
  if (is_more("sparsity_config") && text(quantization["sparsity_config"], "format") != "dense") return false;
  const Json& groups = quantization["config_groups"];
  return !groups.empty() && std::all_of(groups.begin(), groups.end(), [&](const Json& group) {
    if (!has(group, "weights")) return false;
    const Json& weights = group["weights"];
    return text(weights, "type") == "float" && value_or(weights, "num_bits", 0) == 8;
  });
}

/// Takes such entries out of a config.json, those of its parts included ("text_config"): what is written next has no
/// 8-bit floats. Throws kUnsupported, with `what` in front, for a model that is quantized in another way.
template <class AnyJson>
void drop_float8_config(AnyJson& config, const std::string& what) {
  const auto drop = [&](AnyJson& model) {
    if (!model.is_object() || !model.contains("quantization_config")) return;
    const Json quantization = model["quantization_config"];
    if (!quantization.is_null() && !is_float8_config(quantization)) {
      throw sinq::Error(sinq::Errc::kUnsupported, what + ": quantization_config: is quantized already");
    }
    model.erase("quantization_config");
  };
  drop(config);
  for (auto& part : config) drop(part);
}

}  // namespace llm
