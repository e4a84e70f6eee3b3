#pragma once

#include "llm/evaluate.hpp"
#include "llm/input_stats.hpp"
#include "llm/json_file.hpp"
#include "llm/settings.hpp"

#include <optional>

namespace llm {

/// A text whose activations the error of the layers' outputs is measured on; null: none.
using Calibration = const TokenBlocks*;

/// One way to quantize a model, and what it costs.
struct Measurement {
  QuantizeSettings settings;
  Evaluation evaluation;
  double bits_per_weight = 0;
  std::optional<double> weight_error{};  ///< ||W' - W|| / ||W|| over all quantized layers, where W is known
  std::optional<double> output_error{};  ///< the same of their outputs, where activations were collected
  double seconds_quantize = 0;

  /// Stored codes alone do not say what they were made from; floats differ from themselves in nothing.
  [[nodiscard]] bool knows_kl() const noexcept {
    return evaluation.kl_positions > 0 || settings.weights == Weights::kAsStored;
  }
};

/// Quantizes `model` as `settings` say and evaluates it, with progress bars under `title`. `inputs`: for calibrated
/// quantization, or null. `original`: what a model that runs as it is stored was made from, for its errors, or null.
[[nodiscard]] Measurement measure(const Model& model, const QuantizeSettings& settings, const TokenBlocks& blocks,
                                  const Baseline* baseline, Calibration calibration, int threads,
                                  const std::string& title, const InputStats* inputs = nullptr,
                                  const Model* original = nullptr);

/// perplexity, bits_per_weight, seconds_quantize, seconds_evaluate, settings, ...; kl, flips, weight_error and
/// output_error where they are known.
[[nodiscard]] Json to_json(const Measurement& measurement);

/// `read_baseline` with a progress bar.
[[nodiscard]] Baseline read_baseline_shown(const Model& model, const TokenBlocks& blocks, Index count, int threads);

}  // namespace llm
