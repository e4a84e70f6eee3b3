#include "llm/measure_sensitivity.hpp"

#include <sinq/finite.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/presets.hpp>

#include "common/named_error.hpp"
#include "llm/decoded_matrix.hpp"
#include "llm/logits.hpp"
#include "llm/parallel_for.hpp"
#include "llm/progress.hpp"
#include "llm/session.hpp"
#include "llm/tensors.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

namespace llm {
namespace {

/// What the unquantized model makes of a block.
struct Reading {
  std::vector<std::vector<float>> states;  ///< [layers][context, hidden], on the way into each
  std::vector<float> hidden;               ///< [context, hidden], what the head reads
};

/// A model of which one matrix is quantized, and what that came to.
struct Probe {
  Model model;
  MatrixSensitivity result;
};

/// Matrices that change nothing before the same layer.
struct Stage {
  Index first_layer = 0;  ///< the number of layers: only the head changes
  std::vector<std::string> names;
  std::vector<std::optional<LinearId>> ids;  ///< none: the embedding table or the head
};

std::string tensor_name(LinearId id) { return id.name() + ".weight"; }

/// Everything there is to measure, the longest way through the model first.
std::vector<Stage> stages_of(const Model& model) {
  std::vector<Stage> out{{.first_layer = 0, .names = {kEmbeddingName}, .ids = {std::nullopt}}};
  for (const LinearId id : model.linears()) {
    if (id.linear == 0) out.push_back({.first_layer = id.layer, .names = {}, .ids = {}});
    out.back().names.push_back(tensor_name(id));
    out.back().ids.emplace_back(id);
  }
  if (!model.config.tied_head) {
    out.push_back({.first_layer = model.config.layers, .names = {kHeadName}, .ids = {std::nullopt}});
  }
  return out;
}

class Measurer {
 public:
  Measurer(const Model& model, const TokenBlocks& blocks, int threads)
      : model_(model), blocks_(blocks), threads_(resolve_threads(threads)), config_(probe_config()) {
    model.prepare(threads_);
    Progress progress("baseline", blocks.count());
    readings_.resize(static_cast<std::size_t>(blocks.count()));
    parallel_for(blocks.count(), threads_, [&](int, Index b) {
      Reading& reading = readings_[static_cast<std::size_t>(b)];
      Session session(model_, blocks_.context);
      session.observe_states(
          [&](Index, std::span<const float> states) { reading.states.emplace_back(states.begin(), states.end()); });
      const auto hidden = session.read(blocks_.block(b));
      reading.hidden.assign(hidden.begin(), hidden.end());
      progress.step();
    });
  }

  /// Steps of progress that a stage takes: each matrix, each block, each layer and the head.
  [[nodiscard]] Index steps(const Stage& stage) const {
    return static_cast<Index>(stage.names.size()) * blocks_.count() * (model_.config.layers - stage.first_layer + 1);
  }

  [[nodiscard]] std::vector<MatrixSensitivity> measure(const Stage& stage, Progress& progress) const {
    const auto count = static_cast<Index>(stage.names.size());
    std::vector<Probe> probes(stage.names.size());
    const sinq::ThreadPool pool(std::max(1, threads_ / static_cast<int>(count)));
    parallel_for(count, threads_, [&](int, Index i) {
      const auto at = static_cast<std::size_t>(i);
      probes[at] = probe(stage.names[at], stage.ids[at], pool);
    });
    // [matrices][blocks][context, hidden]
    std::vector<std::vector<std::vector<float>>> hidden(probes.size(), decltype(hidden)::value_type(readings_.size()));
    parallel_for(count * blocks_.count(), threads_, [&](int, Index item) {
      const auto p = static_cast<std::size_t>(item % count), b = static_cast<std::size_t>(item / count);
      common::with_tensor_name(stage.names[p], [&] { hidden[p][b] = read(probes[p].model, stage, b); });
      progress.step(model_.config.layers - stage.first_layer + 1);
    });
    const std::vector<double> sums = divergences(probes, hidden);
    std::vector<MatrixSensitivity> out;
    for (std::size_t p = 0; p < probes.size(); ++p) {
      MatrixSensitivity& result = out.emplace_back(probes[p].result);
      result.kl = require_finite("kl", std::max(sums[p], 0.0) / static_cast<double>(blocks_.tokens.size()));
      result.alpha = result.error > 0 ? result.kl / result.error : 0.0;  // without an error there is nothing to lose
    }
    return out;
  }

 private:
  static sinq::AnyConfig probe_config() {
    const auto all = sinq::presets::recipes();
    return std::find_if(all.begin(), all.end(), [](const auto& recipe) { return recipe.name == kProbeRecipe; })->config;
  }

  [[nodiscard]] sinq::MatrixView stored(const std::string& name, std::optional<LinearId> id) const {
    if (id) return model_.stored_weight(*id);
    return model_.stored_table(name);
  }

  [[nodiscard]] Probe probe(const std::string& name, std::optional<LinearId> id, const sinq::ThreadPool& pool) const {
    const sinq::MatrixView w = stored(name, id);
    const auto matrix = common::with_tensor_name(
        name, [&] { return std::make_shared<const OwnDecodedMatrix>(sinq::quantize(w, config_, {}, pool)); },
        [&] { require_finite(name, w); });
    const double relative = sinq::measure_error(w, matrix->codes()).relative_frobenius;
    const double error = sinq::is_finite(relative) ? relative * relative : 0.0;  // 0 / 0 of a matrix of zeros
    Probe out{.model = model_, .result = {.name = name, .error = error}};
    const auto weight = std::make_shared<DenseWeight>(pack(name, matrix->view()));
    if (id) {
      out.model.linear(*id).weight = weight;
      return out;
    }
    if (name == kHeadName || model_.config.tied_head) out.model.head.weight = weight;
    if (name == kEmbeddingName) {
      out.model.own_embedding = matrix;
      out.model.embedding = matrix->view();
    }
    return out;
  }

  /// What the head reads of block `b` if `changed` takes over where the stage begins.
  [[nodiscard]] std::vector<float> read(const Model& changed, const Stage& stage, std::size_t b) const {
    const Reading& reading = readings_[b];
    if (stage.first_layer == model_.config.layers) return reading.hidden;
    Session session(changed, blocks_.context);
    const auto out = stage.ids.front() ? session.read_from(stage.first_layer,
                                                           reading.states[static_cast<std::size_t>(stage.first_layer)])
                                       : session.read(blocks_.block(static_cast<Index>(b)));
    return {out.begin(), out.end()};
  }

  /// The sum of KL(model || probe) over all positions, of each probe.
  [[nodiscard]] std::vector<double> divergences(const std::vector<Probe>& probes,
                                                const std::vector<std::vector<std::vector<float>>>& hidden) const {
    constexpr Index kChunk = 64;  // so that the logits of two models stay in the cache
    const Index width = model_.config.hidden_size, vocab = model_.config.vocab_size;
    const Index chunks = sinq::ceil_div(blocks_.context, kChunk);
    std::vector<std::vector<double>> parts(static_cast<std::size_t>(blocks_.count() * chunks));
    parallel_for(blocks_.count() * chunks, threads_, [&](int, Index item) {
      const auto b = static_cast<std::size_t>(item / chunks);
      const Index start = item % chunks * kChunk, rows = std::min(kChunk, blocks_.context - start);
      std::vector<float> baseline(static_cast<std::size_t>(rows * vocab)), logits(baseline.size());
      read_logits(model_.head, readings_[b].hidden.data() + start * width, rows, start, baseline.data());
      for (std::size_t p = 0; p < probes.size(); ++p) {
        read_logits(probes[p].model.head, hidden[p][b].data() + start * width, rows, start, logits.data());
        double& sum = parts[static_cast<std::size_t>(item)].emplace_back(0.0);
        for (Index r = 0; r < rows; ++r) {
          sum += kernels().compare_logits(baseline.data() + r * vocab, logits.data() + r * vocab, vocab).divergence;
        }
      }
    });
    // In the order of the blocks, so that the sums are the same for every number of threads.
    std::vector<double> out(probes.size(), 0.0);
    for (const auto& part : parts) {
      for (std::size_t p = 0; p < out.size(); ++p) out[p] += part[p];
    }
    return out;
  }

  const Model& model_;
  const TokenBlocks& blocks_;
  int threads_;
  sinq::AnyConfig config_;
  std::vector<Reading> readings_;  ///< of the blocks
};

}  // namespace

std::vector<MatrixSensitivity> measure_sensitivities(const Model& model, const TokenBlocks& blocks,
                                                     std::vector<MatrixSensitivity> known, int threads,
                                                     const KeepSensitivities& keep) {
  const auto is_known = [&](const std::string& name) {
    return std::any_of(known.begin(), known.end(), [&](const auto& matrix) { return matrix.name == name; });
  };
  std::vector<Stage> stages = stages_of(model);
  std::erase_if(stages, [&](const Stage& stage) { return std::ranges::all_of(stage.names, is_known); });
  if (stages.empty()) return known;
  const Measurer measurer(model, blocks, threads);
  Index steps = 0;
  for (const Stage& stage : stages) steps += measurer.steps(stage);
  Progress progress("sensitivity", steps, {.unit = "layers"});
  for (const Stage& stage : stages) {
    for (MatrixSensitivity& matrix : measurer.measure(stage, progress)) known.push_back(std::move(matrix));
    if (keep) keep(known);
  }
  return known;
}

}  // namespace llm
