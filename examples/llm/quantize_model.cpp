#include "llm/quantize_model.hpp"

#include <sinq/calibration.hpp>

#include "llm/packed_weight.hpp"
#include "llm/parallel_for.hpp"
#include "llm/progress.hpp"
#include "llm/tensors.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

namespace llm {
namespace {

double squared_norm(const sinq::MatrixView& view) {
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  double sum = 0;
  for (Index r = 0; r < view.rows; ++r) {
    read_row(view, r, row.data());
    for (const float w : row) sum += static_cast<double>(w) * static_cast<double>(w);
  }
  return sum;
}

/// The mean squares of a layer's inputs. A channel that was silent counts a little: its weights should be finite.
std::vector<float> importance_of(const sinq::ActivationStats& stats) {
  double mean = 0;
  for (Index c = 0; c < stats.cols(); ++c) mean += stats.mean_square(c) / static_cast<double>(stats.cols());
  std::vector<float> out;
  for (Index c = 0; c < stats.cols(); ++c) {
    out.push_back(mean > 0 ? static_cast<float>(std::max(stats.mean_square(c) / mean, 1e-6)) : 1.0F);
  }
  return out;
}

sinq::QuantizedMatrix quantize_calibrated(const sinq::MatrixView& w, const sinq::AnyConfig& config,
                                          CalibrationMethod method, const sinq::ActivationStats& stats) {
  const std::vector<float> importance = importance_of(stats);
  switch (method) {
    case CalibrationMethod::kAwq:
      return sinq::quantize_awq(w, stats, config);
    case CalibrationMethod::kImportance:
      return sinq::quantize(w, config, {.col_importance = importance});
    case CalibrationMethod::kAwqGptq:
    case CalibrationMethod::kGptq:
      break;
  }
  sinq::QuantizedMatrix q = method == CalibrationMethod::kAwqGptq
                                ? sinq::quantize_awq(w, stats, config)
                                : sinq::quantize(w, config, {.col_importance = importance});
  // Vectors cannot be torn apart.
  const bool whole = q.layout().vector_dim != 1;
  sinq::gptq(w, stats, q, {.order = whole ? sinq::ColumnOrder::kNatural : sinq::ColumnOrder::kByActivation});
  return q;
}

}  // namespace

std::optional<InputStats> calibrate(const Model& model, const std::filesystem::path& path,
                                    const QuantizeSettings& settings, int threads) {
  if (settings.calibrate.empty()) return std::nullopt;
  constexpr Index kContext = 512;
  TokenBlocks blocks =
      blocks_from_text(open_tokenizer(path), settings.calibrate, std::min(kContext, model.config.max_positions));
  blocks.limit(settings.calibrate_blocks);
  Progress progress("calibrate", blocks.count());
  return InputStats::collect(model, blocks, threads, [&] { progress.step(); });
}

QuantizeSettings within_budget(const QuantizeSettings& settings, const Model& model) {
  std::vector<sinq::presets::Shape> shapes;
  for (const LinearId id : model.linears()) {
    const sinq::MatrixView stored = model.stored_weight(id);
    shapes.push_back({stored.rows, stored.cols});
  }
  return within_budget(settings, shapes);
}

double QuantizedModel::bits_per_weight() const {
  double bits = 0, weights = 0;
  for (const LayerError& layer : layers) {
    bits += layer.report.bits_per_weight * layer.weights();
    weights += layer.weights();
  }
  return weights > 0 ? bits / weights : 0;
}

double QuantizedModel::weight_error() const {
  double squared_error = 0, squared_weight = 0;
  for (const LayerError& layer : layers) {
    squared_error += layer.report.mse * layer.weights();
    squared_weight += layer.squared_weight;
  }
  return squared_weight > 0 ? std::sqrt(squared_error / squared_weight) : 0;
}

QuantizedModel quantize_model(const Model& model, const QuantizeSettings& settings, int threads, const Step& step,
                              const InputStats* inputs) {
  const std::vector<LinearId> ids = model.linears();
  QuantizedModel out{.model = model, .layers = {}};
  out.layers.resize(ids.size());
  std::vector<sinq::QuantizedMatrix> matrices(ids.size());
  const auto start = std::chrono::steady_clock::now();
  const sinq::AnyConfig config = to_config(settings);
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const LinearId id = ids[static_cast<std::size_t>(i)];
    try {
      const sinq::MatrixView stored = model.stored_weight(id);
      matrices[static_cast<std::size_t>(i)] =
          inputs == nullptr ? sinq::quantize(stored, config)
                            : quantize_calibrated(stored, config, settings.calibrate_with, inputs->of(id));
    } catch (const sinq::Error& e) {
      throw sinq::Error(e.code(), id.name() + ": " + e.what());
    }
    if (step) step();
  });
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const auto at = static_cast<std::size_t>(i);
    const sinq::MatrixView stored = model.stored_weight(ids[at]);
    const sinq::QuantizedMatrix q = std::exchange(matrices[at], {});
    out.layers[at] = {.id = ids[at],
                      .rows = stored.rows,
                      .cols = stored.cols,
                      .report = sinq::measure_error(stored, q.view()),
                      .squared_weight = squared_norm(stored)};
    out.model.linear(ids[at]).weight = weight_of(q, settings.activations);
  });
  return out;
}

}  // namespace llm
