#pragma once

#include "llm/model.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace llm {

/// One sequence on its way through a model: KV cache and scratch memory. One thread at a time; the model is shared.
class Session {
 public:
  /// Room for `capacity` positions. Throws kBadConfig if the model was not made for so many. `model` must outlive this.
  Session(const Model& model, Index capacity);

  /// Reads more tokens of the sequence; returns their final hidden states, normalized, [tokens, hidden], valid until
  /// the next call. Throws kBadShape if they exceed the capacity; kBadData, naming layer and position, if hidden states
  /// stop being finite: nothing after that means anything.
  std::span<const float> read(std::span<const Token> tokens);
  /// The same from hidden states on their way into `layer` [tokens, hidden], as `observe_states` sees them: the layers
  /// before it are left out.
  std::span<const float> read_from(Index layer, std::span<const float> states);
  /// Positions read so far.
  [[nodiscard]] Index position() const noexcept { return position_; }
  [[nodiscard]] Index capacity() const noexcept { return capacity_; }
  /// Forgets the sequence.
  void clear() noexcept { position_ = 0; }

  /// Sees each linear layer of the blocks at work: x [count, cols], y [count, rows], biases included.
  using Observer = std::function<void(LinearId id, const float* x, const float* y, Index count)>;
  void observe(Observer observer) { observer_ = std::move(observer); }
  /// Sees the hidden states [tokens, hidden] on their way into each layer.
  using StateObserver = std::function<void(Index layer, std::span<const float> states)>;
  void observe_states(StateObserver observer) { state_observer_ = std::move(observer); }

 private:
  struct LayerCache {
    std::vector<PackedMatrix> keys;    ///< per KV head [capacity, head_dim]
    std::vector<PackedMatrix> values;  ///< per KV head [head_dim, capacity]
  };

  /// Makes room for `count` tokens more. Throws kBadShape.
  void reserve(Index count);
  /// Runs `hidden_` of `count` tokens through the layers from `first` on and the last norm.
  std::span<const float> run_from(Index first, Index count);
  void run_block(Index layer, Index count);
  void require_finite(const std::vector<float>& states, Index count, const std::string& after) const;
  void attend(const LayerCache& cache, Index count);
  void apply(LinearId id, const std::vector<float>& x, Index count, std::vector<float>& y);
  /// Rotates one head [head_dim] by its position.
  void rotate(float* head, Index position) const noexcept;

  const Model& model_;
  Index capacity_;
  Index position_ = 0;
  std::vector<LayerCache> caches_;
  std::vector<float> cosine_, sine_;  ///< [capacity, head_dim / 2]
  std::vector<float> hidden_, normed_, query_, key_, value_, attended_, gate_, up_, update_, scores_;
  Observer observer_;
  StateObserver state_observer_;
};

/// out[i] = x[i] / rms(x) * weight[i], over each of `count` vectors of weight's size.
void rms_norm(const float* x, const std::vector<float>& weight, double eps, Index count, float* out);

}  // namespace llm
