#pragma once

#include <sinq/fold/architecture.hpp>
#include <sinq/fold/consumer_stack.hpp>
#include <sinq/fold/plan.hpp>

#include "support/generators.hpp"

#include <cmath>
#include <map>
#include <string>
#include <vector>

// Models of every family with random weights, and what they compute, in double and as plainly as possible: nothing here
// knows of edges.
namespace sinq::test {

using namespace fold;

using Vector = std::vector<double>;

struct Tensor {
  std::vector<Index> shape;
  Vector values;
};

/// Whether linear layers and norms have biases.
enum class Biases { kNone, kAll };

struct Model {
  Architecture arch;
  std::map<std::string, Tensor> tensors;

  [[nodiscard]] std::vector<TensorShape> shapes() const {
    std::vector<TensorShape> out;
    for (const auto& [name, tensor] : tensors) out.push_back({name, tensor.shape});
    return out;
  }
  /// The matrices, for as long as this lives.
  [[nodiscard]] MatrixLookup lookup() const {
    return [this](const std::string& name) {
      const Tensor& t = tensors.at(name);
      return MatrixView::row_major(t.values.data(), ScalarType::kF64, t.shape.at(0), t.shape.at(1));
    };
  }
};

inline Architecture tiny(Family family) {
  Architecture a{.family = family,
                 .layers = 2,
                 .vocab = 23,
                 .hidden = 24,
                 .intermediate = 40,
                 .heads = 6,
                 .kv_heads = 2,
                 .head_dim = 4,
                 .tied_head = family == Family::kGemma || family == Family::kQwen3};
  if (family == Family::kQwen3Moe || family == Family::kDeepseekV2) {
    a.layers = 3;
    a.experts = 5;
    a.expert_intermediate = 12;
    a.dense_layers = {0};
  }
  if (family == Family::kDeepseekV2) {
    a.shared_experts = 2;
    a.kv_heads = a.head_dim = 0;
    a.query_rank = 10;
    a.key_value_rank = 8;
    a.nope_dim = 6;
    a.rope_dim = 4;
    a.value_dim = 5;
  }
  return a;
}

/// All tensors of a model, with weights whose columns differ much, so that folding has something to do.
inline Model make_model(const Architecture& a, std::uint64_t seed, Biases biases) {
  Model model{a, {}};
  sinq::test::Random random(seed);
  const auto add = [&](const std::string& name, std::vector<Index> shape, double mean, double deviation) {
    Tensor t{std::move(shape), {}};
    const Index rows = t.shape[0], cols = t.shape.size() > 1 ? t.shape[1] : 1;
    Vector column(static_cast<std::size_t>(cols));
    for (double& c : column) c = t.shape.size() > 1 ? std::exp2(random.gaussian()) : 1.0;
    for (Index r = 0; r < rows; ++r) {
      for (const double c : column) t.values.push_back(mean + deviation * c * random.gaussian());
    }
    model.tensors.emplace(name, std::move(t));
  };
  const auto linear = [&](const std::string& name, Index rows, Index cols) {
    add(name + ".weight", {rows, cols}, 0.0, 0.7 / std::sqrt(static_cast<double>(cols)));
    if (biases == Biases::kAll) add(name + ".bias", {rows}, 0.0, 0.3);
  };
  const bool gemma = a.family == Family::kGemma || a.family == Family::kGemma2 || a.family == Family::kGemma3;
  const auto norm = [&](const std::string& name, Index size) {
    add(name + ".weight", {size}, gemma ? 0.0 : 1.0, 0.3);
    if (biases == Biases::kAll) add(name + ".bias", {size}, 0.0, 0.3);
  };
  const auto mlp = [&](const std::string& name, Index inner) {
    if (a.family == Family::kPhi3) {
      linear(name + "gate_up_proj", 2 * inner, a.hidden);
    } else {
      linear(name + "gate_proj", inner, a.hidden);
      linear(name + "up_proj", inner, a.hidden);
    }
    linear(name + "down_proj", a.hidden, inner);
  };
  add("model.embed_tokens.weight", {a.vocab, a.hidden}, 0.0, 1.0);
  for (Index layer = 0; layer < a.layers; ++layer) {
    const std::string p = "model.layers." + std::to_string(layer) + ".", s = p + "self_attn.", m = p + "mlp.";
    norm(p + "input_layernorm", a.hidden);
    norm(p + "post_attention_layernorm", a.hidden);
    if (a.family == Family::kGemma2 || a.family == Family::kGemma3) {
      norm(p + "pre_feedforward_layernorm", a.hidden);
      norm(p + "post_feedforward_layernorm", a.hidden);
    }
    if (a.family == Family::kDeepseekV2) {
      const Index query = a.heads * (a.nope_dim + a.rope_dim);
      if (a.query_rank == 0) {
        linear(s + "q_proj", query, a.hidden);
      } else {
        linear(s + "q_a_proj", a.query_rank, a.hidden);
        norm(s + "q_a_layernorm", a.query_rank);
        linear(s + "q_b_proj", query, a.query_rank);
      }
      linear(s + "kv_a_proj_with_mqa", a.key_value_rank + a.rope_dim, a.hidden);
      norm(s + "kv_a_layernorm", a.key_value_rank);
      linear(s + "kv_b_proj", a.heads * (a.nope_dim + a.value_dim), a.key_value_rank);
      linear(s + "o_proj", a.hidden, a.heads * a.value_dim);
    } else {
      const Index query = a.heads * a.head_dim, key = a.kv_heads * a.head_dim;
      if (a.family == Family::kPhi3) {
        linear(s + "qkv_proj", query + 2 * key, a.hidden);
      } else {
        linear(s + "q_proj", query, a.hidden);
        linear(s + "k_proj", key, a.hidden);
        linear(s + "v_proj", key, a.hidden);
      }
      linear(s + "o_proj", a.hidden, query);
      if (a.family == Family::kQwen3 || a.family == Family::kQwen3Moe || a.family == Family::kGemma3) {
        norm(s + "q_norm", a.head_dim);
        norm(s + "k_norm", a.head_dim);
      }
    }
    if (a.is_dense(layer)) {
      mlp(m, a.intermediate);
    } else {
      linear(m + "gate", a.experts, a.hidden);
      for (Index e = 0; e < a.experts; ++e) mlp(m + "experts." + std::to_string(e) + ".", a.expert_intermediate);
      if (a.shared_experts > 0) mlp(m + "shared_experts.", a.shared_experts * a.expert_intermediate);
    }
  }
  norm("model.norm", a.hidden);
  if (!a.tied_head) linear("lm_head", a.vocab, a.hidden);
  return model;
}

/// The model with its tensors times `factors`.
inline Model folded(const Model& model, const FactorMap& factors) {
  Model out = model;
  for (auto& [name, tensor] : out.tensors) {
    if (const Factors* f = factors.find(name)) {
      f->apply({0, tensor.shape[0]}, tensor.shape.size() > 1 ? tensor.shape[1] : 1, tensor.values.data());
    }
  }
  return out;
}

/// One forward pass, position after position.
class Forward {
 public:
  explicit Forward(const Model& model) : model_(model), a_(model.arch) {}

  /// Logits [tokens, vocab].
  Vector run(const std::vector<Index>& tokens) {
    std::vector<Vector> x;
    const Tensor& table = at("model.embed_tokens.weight");
    for (const Index token : tokens) {
      const auto first = table.values.begin() + token * a_.hidden;
      x.emplace_back(first, first + a_.hidden);
    }
    for (Index layer = 0; layer < a_.layers; ++layer) {
      const std::string p = "model.layers." + std::to_string(layer) + ".";
      const bool post_norms = a_.family == Family::kGemma2 || a_.family == Family::kGemma3;
      std::vector<Vector> normed;
      for (const Vector& v : x) normed.push_back(norm(p + "input_layernorm", v));
      std::vector<Vector> update = attention(p + "self_attn.", normed);
      for (std::size_t t = 0; t < x.size(); ++t) {
        add(x[t], post_norms ? norm(p + "post_attention_layernorm", update[t]) : update[t]);
        const Vector inner = feed_forward(
            p + "mlp.", layer, norm(p + (post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm"), x[t]));
        add(x[t], post_norms ? norm(p + "post_feedforward_layernorm", inner) : inner);
      }
    }
    Vector logits;
    for (const Vector& v : x) {
      const Vector last = norm("model.norm", v);
      const Vector row = a_.tied_head ? multiply(table, last) : linear("lm_head", last);
      logits.insert(logits.end(), row.begin(), row.end());
    }
    return logits;
  }

 private:
  const Tensor& at(const std::string& name) const { return model_.tensors.at(name); }

  static void add(Vector& x, const Vector& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }
  static Vector part(const Vector& x, Index begin, Index size) { return {x.begin() + begin, x.begin() + begin + size}; }

  static Vector multiply(const Tensor& w, const Vector& x) {
    Vector y(static_cast<std::size_t>(w.shape.at(0)), 0.0);
    for (std::size_t r = 0; r < y.size(); ++r) {
      for (std::size_t c = 0; c < x.size(); ++c) y[r] += w.values.at(r * x.size() + c) * x[c];
    }
    return y;
  }

  Vector linear(const std::string& name, const Vector& x) const {
    EXPECT_EQ(at(name + ".weight").shape.at(1), static_cast<Index>(x.size())) << name;
    Vector y = multiply(at(name + ".weight"), x);
    if (model_.tensors.contains(name + ".bias")) add(y, at(name + ".bias").values);
    return y;
  }

  Vector norm(const std::string& name, const Vector& x) const {
    const bool one_plus = a_.family == Family::kGemma || a_.family == Family::kGemma2 || a_.family == Family::kGemma3;
    double square = 0.0;
    for (const double v : x) square += v * v;
    const double rms = std::sqrt(square / static_cast<double>(x.size()) + 1e-6);
    Vector y = x;
    const Vector& w = at(name + ".weight").values;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] / rms * (one_plus ? 1.0 + w.at(i) : w.at(i));
    if (model_.tensors.contains(name + ".bias")) add(y, at(name + ".bias").values);
    return y;
  }

  static Vector rotated(Vector head, std::size_t position) {
    for (std::size_t i = 0; 2 * i + 1 < head.size(); ++i) {
      const double angle = static_cast<double>(position) * std::pow(0.3, static_cast<double>(i));
      const double a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * std::cos(angle) - b * std::sin(angle);
      head[2 * i + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
    return head;
  }

  static void softmax(Vector& x) {
    double most = x.at(0), sum = 0.0;
    for (const double v : x) most = std::max(most, v);
    for (double& v : x) sum += v = std::exp(v - most);
    for (double& v : x) v /= sum;
  }

  struct Heads {
    std::vector<Vector> queries, keys, values;  ///< of all heads of one position
  };

  Heads heads(const std::string& p, const Vector& x, std::size_t position) const {
    Heads out;
    if (a_.family == Family::kDeepseekV2) {
      const Vector q = a_.query_rank == 0
                           ? linear(p + "q_proj", x)
                           : linear(p + "q_b_proj", norm(p + "q_a_layernorm", linear(p + "q_a_proj", x)));
      const Vector latent = linear(p + "kv_a_proj_with_mqa", x);
      const Vector rope = rotated(part(latent, a_.key_value_rank, a_.rope_dim), position);
      const Vector kv = linear(p + "kv_b_proj", norm(p + "kv_a_layernorm", part(latent, 0, a_.key_value_rank)));
      for (Index h = 0; h < a_.heads; ++h) {
        const Index query = h * (a_.nope_dim + a_.rope_dim), key = h * (a_.nope_dim + a_.value_dim);
        Vector head = part(q, query, a_.nope_dim), k = part(kv, key, a_.nope_dim);
        const Vector turned = rotated(part(q, query + a_.nope_dim, a_.rope_dim), position);
        head.insert(head.end(), turned.begin(), turned.end());
        k.insert(k.end(), rope.begin(), rope.end());
        out.queries.push_back(head);
        out.keys.push_back(k);
        out.values.push_back(part(kv, key + a_.nope_dim, a_.value_dim));
      }
      return out;
    }
    Vector q, k, v;
    if (a_.family == Family::kPhi3) {
      const Vector all = linear(p + "qkv_proj", x);
      q = part(all, 0, a_.heads * a_.head_dim);
      k = part(all, a_.heads * a_.head_dim, a_.kv_heads * a_.head_dim);
      v = part(all, (a_.heads + a_.kv_heads) * a_.head_dim, a_.kv_heads * a_.head_dim);
    } else {
      q = linear(p + "q_proj", x);
      k = linear(p + "k_proj", x);
      v = linear(p + "v_proj", x);
    }
    const bool normed = model_.tensors.contains(p + "q_norm.weight");
    for (Index h = 0; h < a_.heads; ++h) {
      const Index shared = h / (a_.heads / a_.kv_heads);
      const Vector query = part(q, h * a_.head_dim, a_.head_dim), key = part(k, shared * a_.head_dim, a_.head_dim);
      out.queries.push_back(rotated(normed ? norm(p + "q_norm", query) : query, position));
      out.keys.push_back(rotated(normed ? norm(p + "k_norm", key) : key, position));
      out.values.push_back(part(v, shared * a_.head_dim, a_.head_dim));
    }
    return out;
  }

  std::vector<Vector> attention(const std::string& p, const std::vector<Vector>& x) const {
    std::vector<Heads> all;
    for (std::size_t t = 0; t < x.size(); ++t) all.push_back(heads(p, x[t], t));
    std::vector<Vector> out;
    for (std::size_t t = 0; t < x.size(); ++t) {
      Vector joined;
      for (std::size_t h = 0; h < all[t].queries.size(); ++h) {
        const Vector& query = all[t].queries[h];
        Vector weights;
        for (std::size_t s = 0; s <= t; ++s) {
          double dot = 0.0;
          for (std::size_t i = 0; i < query.size(); ++i) dot += query[i] * all[s].keys[h][i];
          weights.push_back(dot / std::sqrt(static_cast<double>(query.size())));
        }
        softmax(weights);
        Vector value(all[t].values[h].size(), 0.0);
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t i = 0; i < value.size(); ++i) value[i] += weights[s] * all[s].values[h][i];
        }
        joined.insert(joined.end(), value.begin(), value.end());
      }
      out.push_back(linear(p + "o_proj", joined));
    }
    return out;
  }

  Vector mlp(const std::string& p, const Vector& x) const {
    Vector gate, up;
    if (a_.family == Family::kPhi3) {
      const Vector both = linear(p + "gate_up_proj", x);
      gate = part(both, 0, a_.intermediate);
      up = part(both, a_.intermediate, a_.intermediate);
    } else {
      gate = linear(p + "gate_proj", x);
      up = linear(p + "up_proj", x);
    }
    for (std::size_t i = 0; i < up.size(); ++i) up[i] *= gate[i] / (1.0 + std::exp(-gate[i]));
    return linear(p + "down_proj", up);
  }

  Vector feed_forward(const std::string& p, Index layer, const Vector& x) const {
    if (a_.is_dense(layer)) return mlp(p, x);
    Vector weights = linear(p + "gate", x);
    softmax(weights);
    Vector out(x.size(), 0.0);
    for (Index picked = 0; picked < a_.experts; ++picked) {  // all, so that each matters
      const auto best = std::max_element(weights.begin(), weights.end());
      Vector expert = mlp(p + "experts." + std::to_string(best - weights.begin()) + ".", x);
      for (double& v : expert) v *= *best;
      add(out, expert);
      *best = -1.0;
    }
    if (a_.shared_experts > 0) add(out, mlp(p + "shared_experts.", x));
    return out;
  }

  const Model& model_;
  const Architecture& a_;
};

/// The largest difference of two models' logits on a few tokens, relative to the largest logit.
inline double difference(const Model& a, const Model& b) {
  const std::vector<Index> tokens{3, 17, 0, 9, 22, 9, 4};
  const Vector x = Forward(a).run(tokens), y = Forward(b).run(tokens);
  double most = 0.0, apart = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, std::abs(x[i]));
    apart = std::max(apart, std::abs(x[i] - y[i]));
  }
  return apart / most;
}

}  // namespace sinq::test
