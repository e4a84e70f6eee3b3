#pragma once

#include "tiny_model.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace llm::test {

using Vector = std::vector<double>;

/// The decoder in double precision, one position at a time, written from the architecture's description; nothing is
/// cached and nothing shared with the engine. Returns the logits of every position.
class ReferenceForward {
 public:
  explicit ReferenceForward(const TinyModel& model) : model_(model) {}

  [[nodiscard]] std::vector<Vector> logits(const std::vector<std::int32_t>& tokens) const {
    std::vector<Vector> states;
    for (const auto token : tokens) states.push_back(row("model.embed_tokens.weight", token));
    for (Index layer = 0; layer < model_.size("num_hidden_layers"); ++layer) states = block(layer, states);
    std::vector<Vector> out;
    for (const Vector& state : states) {
      const bool tied = model_.flag("tie_word_embeddings");
      out.push_back(matrix_times(tied ? "model.embed_tokens" : "lm_head", normalized(state, "model.norm")));
    }
    return out;
  }

 private:
  [[nodiscard]] const TinyModel::Tensor& tensor(const std::string& name) const { return model_.tensors.at(name); }

  [[nodiscard]] Vector row(const std::string& name, Index r) const {
    const auto& t = tensor(name);
    const auto begin = t.values.begin() + r * t.shape[1];
    return {begin, begin + t.shape[1]};
  }

  /// W x + b; the bias is added if there is one in the model.
  [[nodiscard]] Vector matrix_times(const std::string& name, const Vector& x) const {
    const auto& w = tensor(name + ".weight");
    Vector y;
    for (Index r = 0; r < w.shape[0]; ++r) {
      const Vector weights = row(name + ".weight", r);
      double sum = 0;
      for (std::size_t c = 0; c < x.size(); ++c) sum += weights[c] * x[c];
      y.push_back(sum);
    }
    const auto bias = model_.tensors.find(name + ".bias");
    if (bias != model_.tensors.end()) {
      for (std::size_t r = 0; r < y.size(); ++r) y[r] += bias->second.values[r];
    }
    return y;
  }

  [[nodiscard]] Vector normalized(const Vector& x, const std::string& name) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double rms =
        std::sqrt(squares / static_cast<double>(x.size()) + model_.config.at("rms_norm_eps").get<double>());
    Vector y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] / rms * tensor(name + ".weight").values[i]);
    return y;
  }

  /// Head `head` of a projection, normalized if the architecture does so, turned by its position.
  [[nodiscard]] Vector head_of(const Vector& all, Index head, const std::string& norm, std::size_t position) const {
    const Index dim = model_.size("head_dim");
    Vector h(all.begin() + head * dim, all.begin() + (head + 1) * dim);
    if (model_.tensors.contains(norm + ".weight")) h = normalized(h, norm);
    const auto& config = model_.config;
    const double theta = config.contains("rope_theta") ? config.at("rope_theta").get<double>()
                                                       : config.at("rope_parameters").at("rope_theta").get<double>();
    Vector out(h.size());
    const std::size_t half = h.size() / 2;
    for (std::size_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) / std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(dim));
      out[i] = h[i] * std::cos(angle) - h[i + half] * std::sin(angle);
      out[i + half] = h[i + half] * std::cos(angle) + h[i] * std::sin(angle);
    }
    return out;
  }

  [[nodiscard]] std::vector<Vector> block(Index layer, std::vector<Vector> states) const {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const Index heads = model_.size("num_attention_heads"), kv_heads = model_.size("num_key_value_heads");
    const Index dim = model_.size("head_dim");
    std::vector<Vector> queries, keys, values;
    for (const Vector& state : states) {
      const Vector x = normalized(state, prefix + "input_layernorm");
      queries.push_back(matrix_times(prefix + "self_attn.q_proj", x));
      keys.push_back(matrix_times(prefix + "self_attn.k_proj", x));
      values.push_back(matrix_times(prefix + "self_attn.v_proj", x));
    }
    for (std::size_t t = 0; t < states.size(); ++t) {
      Vector attended;
      for (Index head = 0; head < heads; ++head) {
        const Index kv = head * kv_heads / heads;
        const Vector q = head_of(queries[t], head, prefix + "self_attn.q_norm", t);
        Vector weight;
        double total = 0;
        for (std::size_t s = 0; s <= t; ++s) {
          const Vector k = head_of(keys[s], kv, prefix + "self_attn.k_norm", s);
          double dot = 0;
          for (std::size_t i = 0; i < k.size(); ++i) dot += q[i] * k[i];
          weight.push_back(std::exp(dot / std::sqrt(static_cast<double>(dim))));
          total += weight.back();
        }
        for (Index i = 0; i < dim; ++i) {
          double sum = 0;
          for (std::size_t s = 0; s <= t; ++s) {
            sum += weight[s] / total * values[s][static_cast<std::size_t>(kv * dim + i)];
          }
          attended.push_back(sum);
        }
      }
      add(matrix_times(prefix + "self_attn.o_proj", attended), states[t]);
      const Vector x = normalized(states[t], prefix + "post_attention_layernorm");
      Vector gate = matrix_times(prefix + "mlp.gate_proj", x);
      const Vector up = matrix_times(prefix + "mlp.up_proj", x);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
      add(matrix_times(prefix + "mlp.down_proj", gate), states[t]);
    }
    return states;
  }

  static void add(const Vector& update, Vector& state) {
    for (std::size_t i = 0; i < state.size(); ++i) state[i] += update[i];
  }

  const TinyModel& model_;
};

}  // namespace llm::test
