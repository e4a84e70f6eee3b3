#pragma once

#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace convert {

/// A matrix inside a decoder block ("model.layers.3.mlp.up_proj.weight"): not embeddings, head, norms or routers.
[[nodiscard]] inline bool is_linear_layer(const sinq::io::TensorInfo& info) {
  if (info.shape.size() != 2 || !sinq::io::scalar_type(info.dtype)) return false;
  std::vector<std::string_view> parts;
  for (std::string_view rest = info.name;;) {
    const auto dot = rest.find('.');
    parts.push_back(rest.substr(0, dot));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (parts.back() != "weight") return false;
  const std::string_view module = parts.size() >= 2 ? parts[parts.size() - 2] : std::string_view();
  if (module == "gate" || module == "router" || module == "shared_expert_gate") return false;
  const auto is_number = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  const auto in_block = [&](std::string_view list) {
    const auto at = std::ranges::find(parts, list);
    return at != parts.end() && std::next(at) != parts.end() && is_number(*std::next(at));
  };
  return in_block("layers") || in_block("layer") || in_block("blocks") || in_block("h");
}

}  // namespace convert
