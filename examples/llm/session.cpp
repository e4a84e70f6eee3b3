#include "llm/session.hpp"

#include <sinq/io/finite.hpp>

#include <algorithm>
#include <cmath>

namespace llm {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

void add(const std::vector<float>& update, Index count, std::vector<float>& hidden) {
  for (std::size_t i = 0; i < at(count); ++i) hidden[i] += update[i];
}

}  // namespace

void rms_norm(const float* x, const std::vector<float>& weight, double eps, Index count, float* out) {
  const std::size_t size = weight.size();
  for (Index t = 0; t < count; ++t, x += size, out += size) {
    double squares = 0;
    for (std::size_t i = 0; i < size; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    const auto scale = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(size) + eps));
    for (std::size_t i = 0; i < size; ++i) out[i] = x[i] * scale * weight[i];
  }
}

Session::Session(const Model& model, Index capacity) : model_(model), capacity_(capacity) {
  const ModelConfig& config = model.config;
  if (capacity < 1 || capacity > config.max_positions) {
    throw sinq::Error(sinq::Errc::kBadConfig, "context " + std::to_string(capacity) +
                                                  " is not in 1..max_position_embeddings (" +
                                                  std::to_string(config.max_positions) + ")");
  }
  caches_.resize(model.blocks.size());
  for (LayerCache& cache : caches_) {
    for (Index head = 0; head < config.kv_heads; ++head) {
      cache.keys.emplace_back(capacity, config.head_dim);
      cache.values.emplace_back(config.head_dim, capacity);
    }
  }
  const Index half = config.head_dim / 2;
  for (Index position = 0; position < capacity; ++position) {
    for (Index i = 0; i < half; ++i) {
      double frequency = std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(half));
      if (!config.rope_factors.empty()) frequency /= static_cast<double>(config.rope_factors[at(i)]);
      cosine_.push_back(static_cast<float>(std::cos(static_cast<double>(position) * frequency)));
      sine_.push_back(static_cast<float>(std::sin(static_cast<double>(position) * frequency)));
    }
  }
}

std::span<const float> Session::read(std::span<const Token> tokens) {
  const auto count = static_cast<Index>(tokens.size());
  reserve(count);
  for (Index t = 0; t < count; ++t) model_.embed(tokens[at(t)], hidden_.data() + t * model_.config.hidden_size);
  return run_from(0, count);
}

std::span<const float> Session::read_from(Index layer, std::span<const float> states) {
  const auto count = static_cast<Index>(states.size()) / model_.config.hidden_size;
  reserve(count);
  std::copy(states.begin(), states.end(), hidden_.begin());
  return run_from(layer, count);
}

void Session::reserve(Index count) {
  const ModelConfig& config = model_.config;
  if (position_ + count > capacity_) {
    throw sinq::Error(sinq::Errc::kBadShape, std::to_string(position_ + count) + " positions exceed the capacity " +
                                                 std::to_string(capacity_));
  }
  for (auto* buffer : {&hidden_, &normed_, &update_}) buffer->resize(at(count * config.hidden_size));
  for (auto* buffer : {&query_, &attended_}) buffer->resize(at(count * config.heads * config.head_dim));
  for (auto* buffer : {&key_, &value_}) buffer->resize(at(count * config.kv_heads * config.head_dim));
  for (auto* buffer : {&gate_, &up_}) buffer->resize(at(count * config.intermediate_size));
}

std::span<const float> Session::run_from(Index first, Index count) {
  const ModelConfig& config = model_.config;
  for (Index layer = first; layer < config.layers; ++layer) {
    if (state_observer_) state_observer_(layer, hidden_);
    run_block(layer, count);
    require_finite(hidden_, count, "layer " + std::to_string(layer));
  }
  rms_norm(hidden_.data(), model_.final_norm, config.rms_norm_eps, count, normed_.data());
  require_finite(normed_, count, "the last norm");
  position_ += count;
  return normed_;
}

void Session::require_finite(const std::vector<float>& states, Index count, const std::string& after) const {
  const Index width = model_.config.hidden_size;
  const auto values = std::span(states).first(at(count * width));
  if (const auto bad = sinq::io::find_nonfinite(values)) {
    const auto i = static_cast<Index>(bad->at);
    throw sinq::Error(
        sinq::Errc::kBadData,
        sinq::detail::text("position ", position_ + i / width, ": channel ", i % width, " of the hidden state is ",
                           bad->name, " after ", after, "; the model overflows float32 there"));
  }
}

void Session::run_block(Index layer, Index count) {
  const ModelConfig& config = model_.config;
  const Block& block = model_.blocks[at(layer)];
  LayerCache& cache = caches_[at(layer)];
  const Index head_dim = config.head_dim;

  rms_norm(hidden_.data(), block.attention_norm, config.rms_norm_eps, count, normed_.data());
  apply({layer, 0}, normed_, count, query_);
  apply({layer, 1}, normed_, count, key_);
  apply({layer, 2}, normed_, count, value_);
  if (config.query_key_norm) {
    rms_norm(query_.data(), block.query_norm, config.rms_norm_eps, count * config.heads, query_.data());
    rms_norm(key_.data(), block.key_norm, config.rms_norm_eps, count * config.kv_heads, key_.data());
  }
  for (Index t = 0; t < count; ++t) {
    for (Index head = 0; head < config.heads; ++head) {
      rotate(query_.data() + (t * config.heads + head) * head_dim, position_ + t);
    }
    for (Index head = 0; head < config.kv_heads; ++head) {
      float* key = key_.data() + (t * config.kv_heads + head) * head_dim;
      rotate(key, position_ + t);
      cache.keys[at(head)].set_output(position_ + t, key);
      cache.values[at(head)].set_input(position_ + t, value_.data() + (t * config.kv_heads + head) * head_dim);
    }
  }
  attend(cache, count);
  apply({layer, 3}, attended_, count, update_);
  add(update_, count * config.hidden_size, hidden_);

  rms_norm(hidden_.data(), block.mlp_norm, config.rms_norm_eps, count, normed_.data());
  apply({layer, 4}, normed_, count, gate_);
  apply({layer, 5}, normed_, count, up_);
  kernels().swiglu(gate_.data(), up_.data(), count * config.intermediate_size);
  apply({layer, 6}, gate_, count, update_);
  add(update_, count * config.hidden_size, hidden_);
}

void Session::attend(const LayerCache& cache, Index count) {
  // Rows of queries together see the keys up to the last of them; each row's own future is then set to nothing.
  constexpr Index kRows = 48;
  const ModelConfig& config = model_.config;
  const Index width = config.heads * config.head_dim;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.head_dim)));
  scores_.resize(at(kRows * capacity_));
  for (Index head = 0; head < config.heads; ++head) {
    const auto kv_head = at(head / (config.heads / config.kv_heads));
    for (Index t = 0; t < count; t += kRows) {
      const Index rows = std::min(kRows, count - t);
      const Index visible = position_ + t + rows;
      const Index start = t * width + head * config.head_dim;
      kernels().multiply(cache.keys[kv_head], visible, config.head_dim, query_.data() + start, width, rows,
                         scores_.data(), capacity_);
      for (Index r = 0; r < rows; ++r) {
        float* row = scores_.data() + r * capacity_;
        const Index own = position_ + t + r + 1;
        kernels().softmax(row, own, scale);
        std::fill(row + own, row + visible, 0.0F);
      }
      kernels().multiply(cache.values[kv_head], config.head_dim, visible, scores_.data(), capacity_, rows,
                         attended_.data() + start, width);
    }
  }
}

void Session::apply(LinearId id, const std::vector<float>& x, Index count, std::vector<float>& y) {
  model_.linear(id).apply(x.data(), count, y.data());
  if (observer_) observer_(id, x.data(), y.data(), count);
}

void Session::rotate(float* head, Index position) const noexcept {
  const Index half = model_.config.head_dim / 2;
  const float* cosine = cosine_.data() + position * half;
  const float* sine = sine_.data() + position * half;
  for (Index i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cosine[i] - b * sine[i];
    head[i + half] = b * cosine[i] + a * sine[i];
  }
}

}  // namespace llm
