#include "llm/quantize_model.hpp"

#include <sinq/calibration/awq.hpp>
#include <sinq/calibration/gptq.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "common/named_error.hpp"
#include "llm/model_identity.hpp"
#include "llm/packed_weight.hpp"
#include "llm/parallel_for.hpp"
#include "llm/progress.hpp"
#include "llm/tensors.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace llm {
namespace {

/// The name of a layer by that of its tensor.
std::string layer_name(const std::string& tensor) { return tensor.substr(0, tensor.rfind(".weight")); }

/// What is left of the tensor `w` in `q`.
LayerError error_of(const std::string& name, const sinq::MatrixView& w, const sinq::QuantizedView& q) {
  LayerError out{.name = layer_name(name), .rows = w.rows, .cols = w.cols, .report = sinq::measure_error(w, q)};
  std::vector<float> row(static_cast<std::size_t>(w.cols));
  for (Index r = 0; r < w.rows; ++r) {
    read_row(name, w, r, row.data());
    for (const float x : row) out.squared_weight += static_cast<double>(x) * static_cast<double>(x);
  }
  return out;
}

/// The same of weights in a format of others, of which only the error itself is known.
LayerError error_of(const std::string& name, const sinq::MatrixView& w, const sinq::MatrixView& decoded) {
  LayerError out{.name = layer_name(name), .rows = w.rows, .cols = w.cols, .report = {}};
  std::vector<float> row(static_cast<std::size_t>(w.cols)), other(row.size());
  double squared_error = 0;
  for (Index r = 0; r < w.rows; ++r) {
    read_row(name, w, r, row.data());
    read_row(name, decoded, r, other.data());
    for (std::size_t c = 0; c < row.size(); ++c) {
      const double difference = static_cast<double>(other[c]) - static_cast<double>(row[c]);
      squared_error += difference * difference;
      out.squared_weight += static_cast<double>(row[c]) * static_cast<double>(row[c]);
    }
  }
  out.report.mse = squared_error / out.weights();
  out.report.relative_frobenius = out.squared_weight > 0 ? std::sqrt(squared_error / out.squared_weight) : 0;
  return out;
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
  const sinq::ThreadPool alone(1);  // layers are what threads share
  switch (method) {
    case CalibrationMethod::kAwq:
      return sinq::quantize_awq(w, stats, config, {}, {}, alone);
    case CalibrationMethod::kImportance:
      return sinq::quantize(w, config, {.col_importance = importance}, alone);
    case CalibrationMethod::kAwqGptq:
    case CalibrationMethod::kGptq:
      break;
  }
  sinq::QuantizedMatrix q = method == CalibrationMethod::kAwqGptq
                                ? sinq::quantize_awq(w, stats, config, {}, {}, alone)
                                : sinq::quantize(w, config, {.col_importance = importance}, alone);
  // What a trellis codes together cannot be torn apart.
  const bool whole = q.layout().quarter_bits != 0;
  sinq::gptq(w, stats, q, {.order = whole ? sinq::ColumnOrder::kNatural : sinq::ColumnOrder::kByActivation});
  return q;
}

}  // namespace

void require_same_vocabulary(const Model& model, const Model& baseline) {
  const Index here = model.config.vocab_size, there = baseline.config.vocab_size;
  if (here == there) return;
  throw sinq::Error(sinq::Errc::kBadShape,
                    "baseline: vocab_size " + std::to_string(there) + " is not the model's " + std::to_string(here));
}

std::optional<TokenBlocks> calibration_blocks(const Model& model, const std::filesystem::path& path,
                                              const QuantizeSettings& settings) {
  if (settings.calibrate.empty()) return std::nullopt;
  if (settings.weights == Weights::kQuantized && !settings.max_bits_per_weight) {
    const sinq::AnyConfig config = to_config(settings);
    for (const LinearId id : model.linears()) {
      common::with_tensor_name(id.name() + ".weight",
                               [&] { static_cast<void>(sinq::layout_for(model.stored_weight(id), config)); });
    }
  }
  constexpr Index kContext = 512;
  TokenBlocks blocks =
      blocks_from_text(open_tokenizer(path), settings.calibrate, std::min(kContext, model.config.max_positions));
  blocks.limit(settings.calibrate_blocks);
  return blocks;
}

std::optional<InputStats> calibrate(const Model& model, const std::optional<TokenBlocks>& text, int threads) {
  if (!text) return std::nullopt;
  Progress progress("calibrate", text->count());
  return InputStats::collect(model, *text, threads, [&] { progress.step(); });
}

QuantizeSettings settings_for(const Model& model, const QuantizeSettings& settings) {
  if (model.tensors->is_quantized()) {
    if (!settings.asked.empty()) {
      throw sinq::Error(
          sinq::Errc::kBadConfig,
          settings.asked + ": this model is quantized already and runs as it is stored; quantize the original instead");
    }
    QuantizeSettings stored = settings;
    stored.weights = Weights::kQuantizedBefore;
    return stored;
  }
  if (model.tensors->is_converted() && settings.asked.empty()) {
    QuantizeSettings as_stored = settings;
    as_stored.weights = Weights::kAsStored;
    return as_stored;
  }
  std::vector<NamedMatrix> matrices;
  for (const LinearId id : model.linears()) {
    const sinq::MatrixView stored = model.stored_weight(id);
    matrices.push_back({.name = id.name() + ".weight", .rows = stored.rows, .cols = stored.cols});
  }
  if (settings.embeddings == Embeddings::kQuantized) {
    for (const std::string& name : model.tables()) {
      matrices.push_back({.name = name, .rows = model.config.vocab_size, .cols = model.config.hidden_size});
    }
  }
  return within_budget(settings, matrices, [&] { return model_identity(model.path); });
}

std::string what_runs(const Model& model, const std::filesystem::path& path, const QuantizeSettings& settings) {
  std::set<std::string> types;
  for (const LinearId id : model.linears()) types.insert(model.tensors->stored_type(id.name() + ".weight"));
  std::string stored;
  for (const std::string& type : types) stored += (stored.empty() ? "" : ", ") + type;
  const std::string of = path.string() + ", " + stored;
  if (settings.weights != Weights::kQuantized) return of + " as stored";
  const Json json = to_json(settings);
  const auto name = [&](const char* key) { return json[key].get<std::string>(); };
  const std::string calibrated = json.contains("calibrate_with") ? ", calibrated: " + name("calibrate_with") : "";
  const std::string tables = settings.embeddings == Embeddings::kQuantized ? ", embeddings and head, too" : "";
  if (settings.allocation) return of + " quantized now: " + summary_of(*settings.allocation) + calibrated + tables;
  return of + " quantized now: " + name("quantizer") + ", " +
         (settings.normalizer == NormalizerName::kNone ? "no normalizer, " : name("normalizer") + ", ") +
         json["bits"].dump() + " bits, groups of " + json["group_size"].dump() + calibrated + tables;
}

double QuantizedModel::bits_per_weight() const {
  double bits = 0, weights = 0;
  for (const auto* matrices : {&layers, &tables}) {
    for (const LayerError& matrix : *matrices) {
      bits += matrix.report.bits_per_weight * matrix.weights();
      weights += matrix.weights();
    }
  }
  return weights > 0 ? bits / weights : 0;
}

double QuantizedModel::weight_error() const {
  double squared_error = 0, squared_weight = 0;
  for (const auto* matrices : {&layers, &tables}) {
    for (const LayerError& matrix : *matrices) {
      squared_error += matrix.report.mse * matrix.weights();
      squared_weight += matrix.squared_weight;
    }
  }
  return squared_weight > 0 ? std::sqrt(squared_error / squared_weight) : 0;
}

Index quantized_matrices(const Model& model, const QuantizeSettings& settings) {
  const std::size_t tables = settings.embeddings == Embeddings::kQuantized ? model.tables().size() : 0;
  return static_cast<Index>(model.linears().size() + tables);
}

std::vector<sinq::QuantizedMatrix> quantize_linears(const Model& model, const QuantizeSettings& settings, int threads,
                                                    const Step& step, const InputStats* inputs) {
  const std::vector<LinearId> ids = model.linears();
  std::vector<sinq::QuantizedMatrix> matrices(ids.size());
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const LinearId id = ids[static_cast<std::size_t>(i)];
    const std::string name = id.name() + ".weight";
    const sinq::MatrixView stored = model.stored_weight(id);
    const sinq::AnyConfig config = config_of(settings, name);
    matrices[static_cast<std::size_t>(i)] = common::with_tensor_name(
        name,
        [&] {
          return inputs == nullptr ? sinq::quantize(stored, config, {}, sinq::ThreadPool(1))
                                   : quantize_calibrated(stored, config, settings.calibrate_with, inputs->of(id));
        },
        [&] { require_finite(name, stored); });
    if (step) step();
  });
  return matrices;
}

QuantizedModel quantize_model(const Model& model, const QuantizeSettings& settings, int threads, const Step& step,
                              const InputStats* inputs) {
  QuantizedModel out{.model = model, .layers = {}, .tables = {}};
  const auto start = std::chrono::steady_clock::now();
  std::vector<sinq::QuantizedMatrix> matrices = quantize_linears(model, settings, threads, step, inputs);
  if (settings.embeddings == Embeddings::kQuantized) {
    const sinq::ThreadPool pool(resolve_threads(threads));
    for (const std::string& name : model.tables()) {
      const sinq::MatrixView w = model.stored_table(name);
      common::with_tensor_name(
          name,
          [&] {
            sinq::QuantizedMatrix q = sinq::quantize(w, config_of(settings, name), {}, pool);
            out.tables.push_back(error_of(name, w, q.view()));
            out.model.replace_table(name, std::move(q), settings.activations);
          },
          [&] { require_finite(name, w); });
      if (step) step();
    }
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::vector<LinearId> ids = model.linears();
  out.layers.resize(ids.size());
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const auto at = static_cast<std::size_t>(i);
    const sinq::QuantizedMatrix q = std::exchange(matrices[at], {});
    out.layers[at] = error_of(ids[at].name() + ".weight", model.stored_weight(ids[at]), sinq::QuantizedView(q));
    out.model.linear(ids[at]).weight = weight_of(ids[at].name() + ".weight", q, settings.activations);
  });
  return out;
}

bool have_same_linears(const Model& a, const Model& b) {
  const auto ids = a.linears();
  return ids.size() == b.linears().size() && std::all_of(ids.begin(), ids.end(), [&](LinearId id) {
           const Weight &of_a = *a.linear(id).weight, &of_b = *b.linear(id).weight;
           return of_a.rows() == of_b.rows() && of_a.cols() == of_b.cols();
         });
}

QuantizedModel compare_stored(const Model& original, const Model& model, int threads) {
  const std::vector<LinearId> ids = model.linears();
  QuantizedModel out{.model = model, .layers = {}, .tables = {}};
  out.layers.resize(ids.size());
  if (original.linears().size() != ids.size()) {
    throw sinq::Error(sinq::Errc::kBadShape, "baseline: " + std::to_string(original.blocks.size()) +
                                                 " layers are not the model's " + std::to_string(model.blocks.size()));
  }
  parallel_for(static_cast<Index>(ids.size()), threads, [&](int, Index i) {
    const LinearId id = ids[static_cast<std::size_t>(i)];
    const sinq::MatrixView before = original.stored_weight(id), after = model.stored_weight(id);
    if (before.rows != after.rows || before.cols != after.cols) {
      throw sinq::Error(sinq::Errc::kBadShape, "baseline: " + id.name() + " has another shape");
    }
    const std::string name = id.name() + ".weight";
    const auto codes = model.tensors->quantized(name);
    LayerError& layer = out.layers[static_cast<std::size_t>(i)];
    if (codes) {
      layer = error_of(name, before, *codes);
    } else {
      layer = error_of(name, before, after);
      layer.report.bits_per_weight = model.tensors->stored_bits(name) / layer.weights();
    }
  });
  if (original.tables() != model.tables()) return out;
  for (const std::string& name : model.tables()) {
    const auto codes = model.tensors->quantized(name);
    if (codes) out.tables.push_back(error_of(name, original.stored_table(name), *codes));
  }
  return out;
}

}  // namespace llm
