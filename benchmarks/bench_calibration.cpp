// Speed of calibration: statistics, GPTQ and its parts. README.md explains names and counters.
#include <sinq/calibration.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "shapes.hpp"
#include "support/timing.hpp"
#include "support/weights.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::bench;
using benchmark::State;

/// Activations with channels of different size that depend on each other, as those of a model do.
std::vector<float> activations(Index tokens, Index cols) {
  Random random(7);
  std::vector<float> size(static_cast<std::size_t>(cols)), out(static_cast<std::size_t>(tokens * cols));
  for (float& x : size) x = std::exp(random.normal());
  for (Index t = 0; t < tokens; ++t) {
    float previous = 0.0F;
    for (Index c = 0; c < cols; ++c) {
      previous = 0.8F * previous + 0.6F * random.normal();
      out[static_cast<std::size_t>(t * cols + c)] = size[static_cast<std::size_t>(c)] * previous;
    }
  }
  return out;
}

ActivationStats stats_of(Index tokens, Index cols, const ThreadPool& pool) {
  ActivationStats stats(cols);
  const std::vector<float> x = activations(tokens, cols);
  stats.add(MatrixView::row_major(x.data(), tokens, cols), pool);
  return stats;
}

void run_stats(State& state, Index tokens, Index cols, Index threads) {
  const std::vector<float> x = activations(tokens, cols);
  const ThreadPool pool(threads);
  Fastest fastest;
  ActivationStats stats(cols);
  for (auto _ : state) {
    fastest.measure(Clock::kWall, [&] { stats.add(MatrixView::row_major(x.data(), tokens, cols), pool); });
  }
  state.counters["seconds"] = fastest.value();
  state.counters["tokens_per_second"] = static_cast<double>(tokens) / fastest.value();
}

/// Output error on the activations, relative to that of plain rounding.
double error_ratio(const MatrixView& w, const ActivationStats& stats, const QuantizedView& q,
                   const QuantizedView& plain) {
  const detail::OutputLoss loss(w, stats, Loss::kL1, Isa::kBest, Serial{});
  return loss.measure(q, Serial{}) / loss.measure(plain, Serial{});
}

template <class Config>
void run_gptq(State& state, const Config& config, Shape shape, Index threads, const GptqOptions& options) {
  const MatrixView w = weights().view(shape, ScalarType::kF32);
  const ThreadPool pool(threads);
  const ActivationStats stats = stats_of(512, shape.cols, pool);
  const QuantizedMatrix plain = quantize(w, config, {}, pool);
  QuantizedMatrix q = quantize(w, config, {}, pool);
  gptq(w, stats, q, options, pool);
  const double ratio = error_ratio(w, stats, q, plain);
  if (!(ratio < 1.0)) return state.SkipWithError("wrong result: the output error is not below that of plain rounding");
  Fastest fastest;
  for (auto _ : state) fastest.measure(Clock::kWall, [&] { gptq(w, stats, q, options, pool); });
  state.counters["seconds"] = fastest.value();
  state.counters["weights_per_second"] = static_cast<double>(shape.weights()) / fastest.value();
  state.counters["ratio_of_error"] = ratio;
  state.SetLabel(std::string(name(resolve(options.isa))));
}

template <class Config>
void run_awq(State& state, const Config& config, Shape shape, Index threads, Loss loss) {
  const MatrixView w = weights().view(shape, ScalarType::kF32);
  const ThreadPool pool(threads);
  const ActivationStats stats = stats_of(512, shape.cols, pool);
  Fastest fastest;
  for (auto _ : state) {
    fastest.measure(Clock::kWall, [&] {
      benchmark::DoNotOptimize(quantize_awq(w, stats, config, {.loss = loss}, {}, pool).storage().data());
    });
  }
  state.counters["seconds"] = fastest.value();
  state.counters["weights_per_second"] = static_cast<double>(shape.weights()) / fastest.value();
}

template <class Run>
void add(const std::string& method, Shape shape, Index threads, Run&& run) {
  const std::string name = "calibration/" + method + "/rows:" + std::to_string(shape.rows) +
                           "/cols:" + std::to_string(shape.cols) + "/threads:" + std::to_string(threads);
  benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond)->Iterations(2);
}

}  // namespace

int main(int argc, char** argv) {
  const Shape square = shapes::kAttention;
  add("stats", {512, 1536}, 1, [](State& state) { run_stats(state, 512, 1536, 1); });
  add("stats", {512, 4096}, 2, [](State& state) { run_stats(state, 512, 4096, 2); });
  add("gptq", square, 2, [=](State& state) { run_gptq(state, Config<>{}, square, 2, {}); });
  add("gptq_act_order", square, 2,
      [=](State& state) { run_gptq(state, Config<>{}, square, 2, {.order = ColumnOrder::kByActivation}); });
  add("gptq_nf4", square, 2,
      [=](State& state) { run_gptq(state, Config<Codebook>{.quantizer = codebooks::kNf4}, square, 2, {}); });
  for (const Isa isa : {Isa::kAvx2, Isa::kPortable}) {
    if (resolve(isa) != isa || resolve(Isa::kBest) == isa) continue;
    const Shape smaller{1024, 1024};
    add("gptq_" + std::string(name(isa)), smaller, 2,
        [=](State& state) { run_gptq(state, Config<>{}, smaller, 2, {.isa = isa}); });
  }
  add("awq_l2", square, 2, [=](State& state) { run_awq(state, Config<>{}, square, 2, Loss::kL2); });
  add("awq_l1", square, 2, [=](State& state) { run_awq(state, Config<>{}, square, 2, Loss::kL1); });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
