#include "llm/default_sensitivity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

namespace llm {
namespace {

/// alpha at four depths, evenly from the first layer to the last, in units of the mean over the matrices of the blocks.
using Curve = std::array<double, 4>;

// Geometric means of `lm30m` (8 layers; 1024 tokens) and `lm1m` (4 layers; 4096 tokens): sinq-lm sensitivity. The mean
// is 0.135 nats per relative squared error in the one, 0.629 in the other.
constexpr Curve kQuery{0.18, 0.22, 0.31, 0.17}, kKey{0.28, 0.28, 0.37, 0.25};
constexpr Curve kValue{1.31, 0.70, 0.50, 0.47}, kOutput{1.24, 0.80, 0.46, 0.42};
constexpr Curve kGate{1.75, 1.73, 1.64, 1.47}, kUp{1.53, 1.28, 1.20, 1.14}, kDown{3.13, 1.72, 1.41, 1.48};
/// Of the tables, which stand outside of the layers; measured on the same models with a head of their own.
constexpr double kEmbedding = 7.9, kHead = 6.8;

/// What the last part of a layer's name stands for: one kind, or several that were put together.
struct Module {
  std::string_view name;
  std::vector<const Curve*> curves;
};
const std::vector<Module>& modules() {
  static const std::vector<Module> all{{"q_proj", {&kQuery}},
                                       {"k_proj", {&kKey}},
                                       {"v_proj", {&kValue}},
                                       {"o_proj", {&kOutput}},
                                       {"gate_proj", {&kGate}},
                                       {"up_proj", {&kUp}},
                                       {"down_proj", {&kDown}},
                                       {"w1", {&kGate}},
                                       {"w3", {&kUp}},
                                       {"w2", {&kDown}},
                                       {"qkv_proj", {&kQuery, &kKey, &kValue}},
                                       {"query_key_value", {&kQuery, &kKey, &kValue}},
                                       {"gate_up_proj", {&kGate, &kUp}}};
  return all;
}

/// "down_proj" of "model.layers.3.mlp.down_proj.weight".
std::string_view module_of(std::string_view tensor) {
  const auto end = tensor.rfind('.');
  if (end == std::string_view::npos) return {};
  tensor = tensor.substr(0, end);
  return tensor.substr(tensor.rfind('.') + 1);  // npos + 1 is 0
}

/// The first number that is a part of the name: that of the layer.
std::optional<Index> layer_of(std::string_view tensor) {
  while (!tensor.empty()) {
    const std::string_view part = tensor.substr(0, tensor.find('.'));
    Index number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error == std::errc() && end == part.data() + part.size()) return number;
    tensor.remove_prefix(std::min(part.size() + 1, tensor.size()));
  }
  return std::nullopt;
}

/// The curve between its points, `depth` from 0 to 1.
double at_depth(const Curve& curve, double depth) {
  const double at = depth * static_cast<double>(curve.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(at), curve.size() - 2);
  const double part = at - static_cast<double>(below);
  return curve[below] * (1.0 - part) + curve[below + 1] * part;
}

/// alpha of a matrix of a known kind.
std::optional<double> known_sensitivity(const std::string& tensor, Index layers, bool is_tied) {
  const std::string_view module = module_of(tensor);
  if (module == "embed_tokens") return is_tied ? kEmbedding + kHead : kEmbedding;
  if (module == "lm_head") return kHead;
  const auto at = std::find_if(modules().begin(), modules().end(), [&](const Module& m) { return m.name == module; });
  const std::optional<Index> layer = layer_of(tensor);
  if (at == modules().end() || !layer) return std::nullopt;
  const double depth = layers > 1 ? static_cast<double>(*layer) / static_cast<double>(layers - 1) : 0.5;
  double sum = 0.0;
  for (const Curve* curve : at->curves) sum += at_depth(*curve, depth);
  return sum;
}

}  // namespace

std::string experts_of(const std::string& tensor) {
  const std::string word = ".experts.";
  const auto at = tensor.find(word);
  if (at == std::string::npos) return {};
  const auto begin = at + word.size(), end = tensor.find_first_not_of("0123456789", begin);
  if (end == std::string::npos || end == begin) return {};
  return tensor.substr(0, begin) + "*" + tensor.substr(end);
}

std::vector<double> default_sensitivities(std::span<const NamedMatrix> matrices) {
  // An embedding table that comes without a head is one.
  const bool is_tied = std::none_of(matrices.begin(), matrices.end(),
                                    [](const NamedMatrix& matrix) { return module_of(matrix.name) == "lm_head"; });
  Index layers = 0;
  std::map<std::string, Index> experts;
  for (const NamedMatrix& matrix : matrices) {
    layers = std::max(layers, layer_of(matrix.name).value_or(-1) + 1);
    if (const std::string all = experts_of(matrix.name); !all.empty()) ++experts[all];
  }
  std::vector<std::optional<double>> known;
  double weights = 0.0, alphas = 0.0;
  for (const NamedMatrix& matrix : matrices) {
    auto& alpha = known.emplace_back(known_sensitivity(matrix.name, layers, is_tied));
    if (!alpha) continue;
    // Each token passes a few of a layer's experts: all of them together are one matrix to it.
    if (const auto at = experts.find(experts_of(matrix.name)); at != experts.end()) {
      *alpha /= static_cast<double>(at->second);
    }
    weights += matrix.weights();
    alphas += *alpha;
  }
  const double of_weight = weights > 0.0 ? alphas / weights : 1.0;
  std::vector<double> out;
  for (std::size_t i = 0; i < matrices.size(); ++i) out.push_back(known[i].value_or(of_weight * matrices[i].weights()));
  return out;
}

}  // namespace llm
