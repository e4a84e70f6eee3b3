#include "llm/quantize_model.hpp"

#include <sinq/quantize.hpp>

#include "llm/packed_weight.hpp"
#include "llm/parallel_for.hpp"
#include "llm/tensors.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

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

}  // namespace

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

QuantizedModel quantize_model(const Model& model, const QuantizeSettings& settings, int threads, const Step& step) {
  const std::vector<LinearId> ids = model.linears();
  QuantizedModel out{.model = model, .layers = {}};
  out.layers.resize(ids.size());
  std::vector<sinq::QuantizedMatrix> matrices(ids.size());
  const auto start = std::chrono::steady_clock::now();
  const sinq::AnyConfig config = to_config(settings);
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const LinearId id = ids[static_cast<std::size_t>(i)];
    try {
      matrices[static_cast<std::size_t>(i)] = sinq::quantize(model.stored_weight(id), config);
    } catch (const sinq::Error& e) {
      throw sinq::Error(e.code(), id.name() + ": " + e.what());
    }
    if (step) step();
  });
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const auto at = static_cast<std::size_t>(i);
    const sinq::MatrixView stored = model.stored_weight(ids[at]);
    out.layers[at] = {.id = ids[at],
                      .rows = stored.rows,
                      .cols = stored.cols,
                      .report = sinq::measure_error(stored, matrices[at].view()),
                      .squared_weight = squared_norm(stored)};
    out.model.linear(ids[at]).weight = std::make_shared<PackedWeight>(std::move(matrices[at]), settings.activations);
  });
  return out;
}

}  // namespace llm
