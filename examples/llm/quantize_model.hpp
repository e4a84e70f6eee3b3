#pragma once

#include <sinq/measure_error.hpp>

#include "llm/evaluate.hpp"
#include "llm/input_stats.hpp"
#include "llm/model.hpp"
#include "llm/settings.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace llm {

/// What quantizing did to one matrix.
struct LayerError {
  std::string name;  ///< of its layer, the tensor's without ".weight"
  Index rows = 0, cols = 0;
  sinq::ErrorReport report;
  double squared_weight = 0;  ///< ||W||^2

  [[nodiscard]] double weights() const { return static_cast<double>(rows) * static_cast<double>(cols); }
};

/// A model whose block matrices are quantized, its tables, too, if that was asked for; the rest it shares with the
/// model it came from.
struct QuantizedModel {
  Model model;
  std::vector<LayerError> layers;  ///< of `model.linears()`
  std::vector<LayerError> tables;  ///< those of `model.tables()` that are quantized
  double seconds = 0;              ///< of quantizing alone

  /// Stored bits per weight, over the quantized matrices only.
  [[nodiscard]] double bits_per_weight() const;
  /// ||W' - W|| / ||W|| over all of them.
  [[nodiscard]] double weight_error() const;
};

/// What the settings mean for this model: a budget becomes a recipe, and a model that is quantized already runs as it
/// is stored, as does a converted one of floats if nothing asks for quantization. Throws kBadConfig if the former
/// should be quantized again.
[[nodiscard]] QuantizeSettings settings_for(const Model& model, const QuantizeSettings& settings);

/// What runs under those settings, in words: "x.gguf, f16 as stored".
[[nodiscard]] std::string what_runs(const Model& model, const std::filesystem::path& path,
                                    const QuantizeSettings& settings);

/// How many matrices `quantize_model` quantizes.
[[nodiscard]] Index quantized_matrices(const Model& model, const QuantizeSettings& settings);

/// The linear layers of the blocks, quantized as `quantize_model` does.
[[nodiscard]] std::vector<sinq::QuantizedMatrix> quantize_linears(const Model& model, const QuantizeSettings& settings,
                                                                  int threads, const Step& step = {},
                                                                  const InputStats* inputs = nullptr);

/// Quantizes the linear layers of the blocks, and the tables if the settings say so, from the weights as they are
/// stored; the model runs from the codes. Tables are quantized without calibration. Several layers at once, on
/// `threads` threads (0: all). `inputs`: of the settings' calibration text, or null. Throws what sinq::quantize throws,
/// with the layer's name in front.
[[nodiscard]] QuantizedModel quantize_model(const Model& model, const QuantizeSettings& settings, int threads,
                                            const Step& step = {}, const InputStats* inputs = nullptr);

/// Whether the linear layers of two models have the same shapes.
[[nodiscard]] bool have_same_linears(const Model& a, const Model& b);

/// A `model` that runs as it is stored, with its errors against the model that it was made from. Throws kBadShape if
/// that is another one.
[[nodiscard]] QuantizedModel compare_stored(const Model& original, const Model& model, int threads);

/// Throws kBadShape if KL to `baseline` cannot be taken, since it has another vocabulary: said before either is run.
void require_same_vocabulary(const Model& model, const Model& baseline);

/// The calibration text of the settings, for the model at `path`; none if they name none. Throws what reading it does,
/// and for a layer that the settings do not fit: before minutes of calibration.
[[nodiscard]] std::optional<TokenBlocks> calibration_blocks(const Model& model, const std::filesystem::path& path,
                                                            const QuantizeSettings& settings);

/// The inputs on that text, with a progress bar.
[[nodiscard]] std::optional<InputStats> calibrate(const Model& model, const std::optional<TokenBlocks>& text,
                                                  int threads);

}  // namespace llm
