#pragma once

#include <sinq/isa.hpp>

#include "llm/packed_matrix.hpp"

namespace llm {

/// Sums over one position's logits [vocab].
struct LogitSums {
  double log_sum_exp = 0;           ///< of the model's logits
  double baseline_log_sum_exp = 0;  ///< of the unquantized model's
  double divergence = 0;            ///< KL(baseline || model) in nats
};

/// The engine's hot loops, compiled once per instruction set. All are stateless and run on the calling thread.
struct Kernels {
  /// y[r, o] = sum over i of x[r, i] * w[o, i], for o < outputs, i < inputs (both at most those of `w`).
  void (*multiply)(const PackedMatrix& w, Index outputs, Index inputs, const float* x, Index x_stride, Index rows,
                   float* y, Index y_stride);
  /// Turns `scores` [count] times `scale` into probabilities in place.
  void (*softmax)(float* scores, Index count, float scale);
  /// gate[i] = silu(gate[i]) * up[i].
  void (*swiglu)(float* gate, const float* up, Index count);
  /// log(sum(exp(logits))).
  double (*log_sum_exp)(const float* logits, Index count);
  /// Both models' log-sum-exp and the divergence between them.
  LogitSums (*compare_logits)(const float* baseline, const float* logits, Index count);
};

/// The fastest kernels of this machine that do not exceed `limit`.
[[nodiscard]] const Kernels& kernels(sinq::Isa limit = sinq::Isa::kBest) noexcept;

}  // namespace llm
