#pragma once

#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace convert {

namespace detail {

inline constexpr std::string_view kEmbedding = "an embedding", kHead = "a head";

[[nodiscard]] inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    const auto at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

[[nodiscard]] inline bool is_one_of(std::string_view word, std::span<const std::string_view> list) {
  return std::ranges::find(list, word) != list.end();
}

/// Whether a part of a name, such as "vision_tower", has a word of the list.
[[nodiscard]] inline bool has_word(std::string_view part, std::span<const std::string_view> list) {
  return std::ranges::any_of(split(part, '_'), [&](std::string_view word) { return is_one_of(word, list); });
}

/// Whether a name has a numbered block: "model.layers.3.", "mtp_layers.0.", "transformer.h.7.".
[[nodiscard]] inline bool is_in_block(std::span<const std::string_view> parts) {
  static constexpr std::array<std::string_view, 5> kLists{"layers", "layer", "blocks", "block", "h"};
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string_view number = parts[i + 1];
    const bool is_number = !number.empty() && std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
    if (is_number && is_one_of(split(parts[i], '_').back(), kLists)) return true;
  }
  return false;
}

}  // namespace detail

/// Whether the tensor belongs to one of a model's numbered blocks, whatever it is.
[[nodiscard]] inline bool is_in_block(std::string_view tensor) {
  return detail::is_in_block(detail::split(tensor, '.'));
}

/// Why a name is not that of a linear layer to be quantized ("a router"); empty if it is. What is left out is small, is
/// looked up instead of multiplied, or decides which weights are used; or it belongs to eyes and ears, which few bits
/// harm more than they save.
[[nodiscard]] inline std::string_view reason_by_name(std::string_view tensor) {
  static constexpr std::array<std::string_view, 7> kEmbeddings{"embed", "embedding", "embeddings", "embedder",
                                                               "wte",   "wpe",       "vte"};
  static constexpr std::array<std::string_view, 2> kRelative{"relative", "rel"};
  static constexpr std::array<std::string_view, 2> kHeads{"head", "score"};
  static constexpr std::array<std::string_view, 4> kRouters{"router", "routers", "gating", "altup"};
  static constexpr std::array<std::string_view, 16> kTowers{
      "vision", "visual", "image", "images",    "img",     "video",     "audio",  "speech",
      "vit",    "vpm",    "apm",   "projector", "aligner", "connector", "merger", "resampler"};
  const std::vector<std::string_view> parts = detail::split(tensor, '.');
  const auto any = [&](auto is) { return std::any_of(parts.begin(), parts.end() - 1, is); };
  const std::string_view module = parts.size() >= 2 ? parts[parts.size() - 2] : std::string_view();
  if (any([](std::string_view part) { return detail::has_word(part, kTowers); })) {
    return "of a vision or audio tower or its projector";
  }
  if (detail::has_word(module, kRelative)) return "a relative position bias";
  if (detail::has_word(module, kEmbeddings)) return detail::kEmbedding;
  if (detail::has_word(module, kHeads)) return detail::kHead;
  const auto is_router = [](std::string_view part) {
    return part == "gate" || part.ends_with("expert_gate") || detail::has_word(part, kRouters);
  };
  if (any(is_router)) return "a router";
  if (module.ends_with("norm") || module.starts_with("ln_")) return "a norm";
  if (!detail::is_in_block(parts)) return "outside of the blocks";
  if (parts.back() != "weight") return "not a layer's .weight";
  return {};
}

/// Whether a tensor is kept only for being an embedding or a head.
[[nodiscard]] inline bool is_embedding_or_head(std::string_view tensor) {
  const std::string_view reason = reason_by_name(tensor);
  return reason == detail::kEmbedding || reason == detail::kHead;
}

/// Why a tensor is not quantized unless it is asked for, e.g. "a router" or "dtype I8"; empty for the linear layers of
/// a model's blocks, which are. The one rule of all programs.
[[nodiscard]] inline std::string reason_to_keep(const sinq::io::TensorInfo& info) {
  const auto dimensions = info.shape.size();
  if (dimensions != 2) return dimensions == 1 ? "a vector" : std::to_string(dimensions) + " dimensions";
  if (!sinq::io::is_float(info.dtype)) return "dtype " + std::string(sinq::io::name(info.dtype));
  if (info.shape[0] < 1 || info.shape[1] < 1) return "no elements";
  return std::string(reason_by_name(info.name));
}

/// Whether a tensor is quantized by default.
[[nodiscard]] inline bool is_linear_layer(const sinq::io::TensorInfo& info) { return reason_to_keep(info).empty(); }

}  // namespace convert
