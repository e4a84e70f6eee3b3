// Speed and accuracy of `quantize`, speed of `dequantize`. README.md explains names and counters.
#include <sinq/detail/tile_loader.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include "shapes.hpp"
#include "support/bits_text.hpp"
#include "support/machine_limits.hpp"
#include "support/naive_eigen.hpp"
#include "support/output_error.hpp"
#include "support/timing.hpp"
#include "support/weights.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <utility>

namespace {

using namespace sinq;
using namespace sinq::bench;
using benchmark::State;

using Rtn = Config<Uniform, Identity>;
using Sinq = Config<Uniform, Sinkhorn>;

/// What a benchmark runs on.
struct Setup {
  Shape shape = shapes::kAttention;
  ScalarType type = ScalarType::kF32;
  Index threads = 1;
  Isa isa = Isa::kBest;

  [[nodiscard]] Clock clock() const noexcept { return threads == 1 ? Clock::kThread : Clock::kWall; }
  [[nodiscard]] double weights() const noexcept { return static_cast<double>(shape.weights()); }
};

const char* name_of(ScalarType type) {
  return type == ScalarType::kF16 ? "f16" : type == ScalarType::kBf16 ? "bf16" : "f32";
}

std::string name_of(const std::string& stage, const std::string& method, const std::string& bits, Index group,
                    const Setup& setup) {
  return stage + "/" + method + "/bits:" + bits + "/group:" + std::to_string(group) +
         "/rows:" + std::to_string(setup.shape.rows) + "/cols:" + std::to_string(setup.shape.cols) + "/" +
         name_of(setup.type) + "/threads:" + std::to_string(setup.threads);
}

/// Calls f with the executor of a number of threads.
template <class F>
void with_threads(Index threads, F&& f) {
  if (threads == 1) return f(Serial{});
  static ThreadPool pool(2);
  if (pool.concurrency() == threads) return f(pool);
  return f(ThreadPool(threads));
}

/// Of relative errors. A step of a group is its range / (2^bits - 1), its error step / sqrt(12); a group of 128 weights
/// spans less than 8 deviations.
double limit_of(double bits) { return 8.0 / std::sqrt(12.0) / (std::exp2(bits) - 1.0); }

/// The relative error of some rows must be what the bits allow. Empty if it is, else what is wrong.
std::string problem_of(const MatrixView& w, const QuantizedView& q, int bits) {
  constexpr Index kRows = 64;
  const double limit = limit_of(bits);
  double error = 0.0, square = 0.0;
  for (const Index first : {Index{0}, w.rows - kRows}) {
    const RowRange range{first, first + kRows};
    std::vector<float> decoded(static_cast<std::size_t>(kRows * w.cols)), original(decoded.size());
    dequantize_rows(q, range, decoded);
    detail::read_rect(w, {first, 0, kRows, w.cols}, original.data(), w.cols);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double d = static_cast<double>(decoded[i]) - static_cast<double>(original[i]);
      error += d * d;
      square += static_cast<double>(original[i]) * static_cast<double>(original[i]);
    }
  }
  const double relative = std::sqrt(error / square);
  if (relative > 0.0 && relative < limit) return {};
  return "wrong result: relative error " + std::to_string(relative) + ", at most " + std::to_string(limit);
}

/// What a method is for: the error of W x for a Gaussian layer, and with factors moved between its inputs and columns,
/// which who balances columns should hardly notice. `error_of` quantizes a layer. Empty, else what is wrong.
template <class ErrorOf>
std::string count_output_errors(State& state, double bits, Index group_size, bool balances, ErrorOf&& error_of) {
  const auto count = [&](const GaussianLayer& layer, const std::string& ending) {
    const double error = error_of(layer);
    state.counters["output_error" + ending] = error;
    state.counters["output_error_ratio_to_rtn" + ending] = error / rtn_output_error(layer, bits, group_size);
    return error;
  };
  const double plain = count(plain_layer(), "/plain"), moved = count(moved_layer(), "/moved");
  const double limit = limit_of(bits);
  if (!(plain > 0.0 && plain < limit)) {
    return "wrong result: output error " + std::to_string(plain) + ", at most " + std::to_string(limit);
  }
  if (!(moved > 0.0 && moved < (balances ? 1.5 * plain : 10.0))) {
    return "wrong result: output error " + std::to_string(moved) + " with factors moved, " + std::to_string(plain) +
           " without";
  }
  return {};
}

/// Operations and bytes of one method per weight, counted from the algorithm.
struct Work {
  double passes = 0.0;  ///< over a tile, to measure deviations; the first is part of the copy
  double memory_bytes = 0.0;
  double cache_bytes = 0.0;
  double operations = 0.0;
};

template <class Q, class N>
Work count_work(const Config<Q, N>& config, const Setup& setup, Index output_bytes, const QuantizeReport& report) {
  Work work;
  work.passes = static_cast<double>(report.passes) / static_cast<double>(report.tiles);
  work.memory_bytes =
      static_cast<double>(scalar_bytes(setup.type)) + static_cast<double>(output_bytes) / setup.weights();
  const double more_passes = std::max(0.0, work.passes - 1.0);
  // The copy is written, every further pass and the rounding read it.
  work.cache_bytes = 4.0 * (1.0 + more_passes + 1.0);
  // Copy: one product, and moments. A pass: a product by the column factor, sum and square along the row, a product by
  // the row factor, sum and square along the column.
  work.operations = 1.0 + 6.0 * (1.0 + more_passes);
  work.operations += 2.0 + 3.0;  // normalize; least, greatest and sum of groups
  if constexpr (std::is_same_v<Q, Codebook>) {
    work.operations += 1.0 + 4.0 * config.quantizer.bits();  // scale; probe, compare and add per bit
  } else {
    work.operations += 4.0;  // scale, clamp, convert
  }
  if constexpr (std::is_same_v<Q, Hqq>) {
    work.operations += 12.0 * config.quantizer.iterations;
    work.cache_bytes += 4.0;
  }
  return work;
}

void report_work(State& state, const Work& work, const Setup& setup, double read_seconds, double weights_per_second) {
  const CoreLimits& core = core_limits(setup.isa);
  const double memory_bytes_per_second = setup.weights() * static_cast<double>(scalar_bytes(setup.type)) / read_seconds;
  const double least_seconds = std::max({work.memory_bytes / memory_bytes_per_second,
                                         work.cache_bytes / core.cache_bytes, work.operations / core.operations});
  state.counters["passes"] = work.passes;
  state.counters["memory_bytes_per_weight"] = work.memory_bytes;
  state.counters["cache_bytes_per_weight"] = work.cache_bytes;
  state.counters["flops_per_weight"] = work.operations;
  state.counters["roofline_weights_per_second"] = static_cast<double>(setup.threads) / least_seconds;
  state.counters["of_roofline"] = weights_per_second * least_seconds / static_cast<double>(setup.threads);
}

/// Times `work`, and beside each of its iterations `rtn` and one read of the matrix, so that ratios see the same noise.
template <class WorkFn, class RtnFn>
double time_with_ratios(State& state, const Setup& setup, const MatrixView& w, WorkFn&& work, RtnFn&& rtn,
                        double& read_seconds) {
  Fastest fastest, fastest_rtn, fastest_read;
  for (auto _ : state) {
    fastest.measure(setup.clock(), work);
    state.PauseTiming();
    fastest_rtn.measure(setup.clock(), rtn);
    fastest_read.measure(Clock::kThread, [&] { read_once(w.data, setup.shape.weights() * scalar_bytes(w.type)); });
    state.ResumeTiming();
  }
  read_seconds = fastest_read.value();
  state.counters["weights_per_second"] = setup.weights() / fastest.value();
  state.counters["ratio_to_rtn"] = fastest.value() / fastest_rtn.value();
  state.counters["ratio_to_read"] = fastest.value() / read_seconds;
  return setup.weights() / fastest.value();
}

template <class Q, class N>
void run_quantize(State& state, const Config<Q, N>& config, const Setup& setup) {
  const MatrixView w = weights().view(setup.shape, setup.type);
  const int bits = static_cast<int>(code_bits(config.quantizer.format()));  // of a trellis: rounded down
  const Rtn plain{.quantizer = {.bits = bits}, .group_size = config.group_size};
  const Buffer out(required_bytes(config, w.rows, w.cols)), rtn_out(required_bytes(plain, w.rows, w.cols));
  const auto bytes_of = [](const Buffer& buffer) {
    return std::span<std::byte>(buffer.data(), static_cast<std::size_t>(buffer.size()));
  };
  with_threads(setup.threads, [&](const auto& executor) {
    QuantizeReport report;
    const QuantizedView q = quantize_into(w, config, bytes_of(out), {.isa = setup.isa, .report = &report}, executor);
    if (report.isa != resolve(setup.isa)) return state.SkipWithError("another instruction set ran");
    if (const std::string problem = problem_of(w, q, bits); !problem.empty()) {
      return state.SkipWithError(problem.c_str());
    }
    const auto error_of = [&](const GaussianLayer& layer) {
      return layer.output_error(quantize(layer.view(), config, {.isa = setup.isa}, executor));
    };
    const std::string problem = count_output_errors(state, code_bits(config.quantizer.format()), config.group_size,
                                                    !std::is_same_v<N, Identity>, error_of);
    if (!problem.empty()) return state.SkipWithError(problem.c_str());
    double read_seconds = 0.0;
    const double speed = time_with_ratios(
        state, setup, w, [&] { quantize_into(w, config, bytes_of(out), {.isa = setup.isa}, executor); },
        [&] { quantize_into(w, plain, bytes_of(rtn_out), {.isa = setup.isa}, executor); }, read_seconds);
    // What a search does depends on the table; it is far from any roof.
    if constexpr (!requires { config.quantizer.rounds; }) {
      report_work(state, count_work(config, setup, out.size(), report), setup, read_seconds, speed);
    }
    state.counters["bits_per_weight"] = bits_per_weight(q.layout());
    state.SetLabel(std::string(name(report.isa)));
  });
}

template <class Q, class N>
void run_dequantize(State& state, const Config<Q, N>& config, const Setup& setup) {
  const MatrixView w = weights().view(setup.shape, setup.type);
  const QuantizedMatrix q = quantize(w, config);
  const int bits = static_cast<int>(code_bits(config.quantizer.format()));  // of a trellis: rounded down
  if (const std::string problem = problem_of(w, q, bits); !problem.empty()) {
    return state.SkipWithError(problem.c_str());
  }
  const Buffer out(4 * setup.shape.weights());
  std::memset(out.data(), 0, static_cast<std::size_t>(out.size()));
  const std::span<float> floats(reinterpret_cast<float*>(out.data()), static_cast<std::size_t>(setup.shape.weights()));
  with_threads(setup.threads, [&](const auto& executor) {
    Fastest fastest, fastest_read;
    for (auto _ : state) {
      fastest.measure(setup.clock(), [&] { dequantize_into(q, floats, setup.isa, executor); });
      state.PauseTiming();
      fastest_read.measure(Clock::kThread, [&] { read_once(w.data, 4 * setup.shape.weights()); });
      state.ResumeTiming();
    }
    state.counters["weights_per_second"] = setup.weights() / fastest.value();
    state.counters["ratio_to_read"] = fastest.value() / fastest_read.value();
    state.counters["bits_per_weight"] = bits_per_weight(q.layout());
    state.SetLabel(std::string(name(resolve(setup.isa))));
  });
}

/// The expressions of Eigen, and the library's RTN beside them.
void run_naive(State& state, const NaiveEigen& naive) {
  const Setup setup;
  const MatrixView w = weights().view(setup.shape, setup.type);
  const Eigen::Map<const RowMatrix> map(static_cast<const float*>(w.data), w.rows, w.cols);
  const Rtn plain{.quantizer = {.bits = naive.bits}, .group_size = naive.group_size};
  const Sinq balanced{.quantizer = {.bits = naive.bits}, .group_size = naive.group_size};
  {
    // On a corner of the matrix: the same error as the library's.
    const RowMatrix corner = map.topLeftCorner(512, 512);
    const RowMatrix decoded = naive.quantize(corner).dequantize(naive.group_size);
    const QuantizedMatrix own = naive.iterations == 0 ? quantize(corner, plain) : quantize(corner, balanced);
    const double ratio = static_cast<double>((decoded - corner).norm() / (dequantize(own) - corner).norm());
    if (!(std::abs(ratio - 1.0) < 0.01)) {
      return state.SkipWithError(("error is " + std::to_string(ratio) + " of the library's").c_str());
    }
  }
  const auto error_of = [&](const GaussianLayer& layer) {
    const Eigen::Map<const RowMatrix> matrix(layer.weights.data(), GaussianLayer::kRows, GaussianLayer::kCols);
    const RowMatrix decoded = naive.quantize(matrix).dequantize(naive.group_size);
    return layer.output_error({decoded.data(), layer.weights.size()});
  };
  const std::string problem = count_output_errors(state, naive.bits, naive.group_size, naive.iterations > 0, error_of);
  if (!problem.empty()) return state.SkipWithError(problem.c_str());
  const Buffer out(required_bytes(plain, w.rows, w.cols));
  double read_seconds = 0.0;
  time_with_ratios(
      state, setup, w, [&] { benchmark::DoNotOptimize(naive.quantize(map).codes.data()); },
      [&] {
        quantize_into(w, plain, {out.data(), static_cast<std::size_t>(out.size())});
      },
      read_seconds);
}

std::string bits_of(const CodeFormat& format) { return bits_text(format.bits, format.quarter_bits); }

template <class Config>
void add(const std::string& method, const Config& config, const Setup& setup = {}) {
  const std::string bits = bits_of(config.quantizer.format());
  const std::string name = name_of("quantize", method, bits, config.group_size, setup);
  benchmark::RegisterBenchmark(name.c_str(), [=](State& state) {
    run_quantize(state, config, setup);
  })->Unit(benchmark::kMillisecond);
}

template <class Config>
void add_dequantize(const std::string& method, const Config& config, const Setup& setup = {}) {
  const std::string bits = bits_of(config.quantizer.format());
  const std::string name = name_of("dequantize", method, bits, config.group_size, setup);
  benchmark::RegisterBenchmark(name.c_str(), [=](State& state) {
    run_dequantize(state, config, setup);
  })->Unit(benchmark::kMillisecond);
}

void add_naive(const std::string& method, const NaiveEigen& naive) {
  const std::string name = name_of("quantize", method, std::to_string(naive.bits), naive.group_size, {});
  benchmark::RegisterBenchmark(name.c_str(), [=](State& state) {
    run_naive(state, naive);
  })->Unit(benchmark::kMillisecond);
}

void add_methods() {
  const auto symmetric = [](auto config) {
    config.quantizer.symmetry = Symmetry::kSymmetric;
    return config;
  };
  add("rtn", Rtn{});
  add("sinq", Sinq{});
  add("rtn_f32aux", Rtn{.aux = AuxFormat::kF32});
  add("sinq_f32aux", Sinq{.aux = AuxFormat::kF32});
  add("rtn_u8", Rtn{.aux = AuxFormat::kU8});
  add("sinq_u8", Sinq{.aux = AuxFormat::kU8});
  add("sinq_symmetric", symmetric(Sinq{}));
  add("sinq_nf4", Config<Codebook>{.quantizer = codebooks::kNf4});
  add("sinq_nf3", Config<Codebook>{.quantizer = codebooks::kNf3});
  add("sinq_fp4", Config<Codebook>{.quantizer = codebooks::kFp4});
  add("nf4", Config<Codebook, Identity>{.quantizer = codebooks::kNf4});
  add("hqq", Config<Hqq, Identity>{});
  add("sinq_hqq", Config<Hqq>{});
  add("sinq_square", Sinq{.tiling = Tiling::kSquare});
  add("sinq_reference", reference_compatible(Sinq{}));
  for (const int bits : {2, 3, 5, 6, 8}) {
    add("rtn", Rtn{.quantizer = {.bits = bits}});
    add("sinq", Sinq{.quantizer = {.bits = bits}});
  }
  for (const Index group : {32, 128}) {
    add("rtn", Rtn{.group_size = group});
    add("sinq", Sinq{.group_size = group});
  }
  for (const ScalarType type : {ScalarType::kBf16, ScalarType::kF16}) {
    add("rtn", Rtn{}, {.type = type});
    add("sinq", Sinq{}, {.type = type});
  }
  for (const Isa isa : {Isa::kAvx2, Isa::kPortable}) {
    if (resolve(isa) != isa || resolve(Isa::kBest) == isa) continue;
    const std::string suffix = "_" + std::string(name(isa));
    add("rtn" + suffix, Rtn{}, {.isa = isa});
    add("sinq" + suffix, Sinq{}, {.isa = isa});
    add("sinq_nf4" + suffix, Config<Codebook>{.quantizer = codebooks::kNf4}, {.isa = isa});
  }
  add("rtn", Rtn{}, {.threads = 2});
  add("sinq", Sinq{}, {.threads = 2});
  add_naive("rtn_naive_eigen", {.iterations = 0});
  add_naive("sinq_naive_eigen", {});
}

/// Fits that search, as presets::accurate has them.
void add_searched() {
  add("fitted", Config<Fitted, Identity>{});
  add("sinq_fitted", Config<Fitted>{});
  for (const int bits : {2, 3, 4}) {
    add("sinq_learned_u6",
        Config<LearnedCodebook>{.quantizer = LearnedCodebook(bits), .group_size = 32, .aux = AuxFormat::kU6});
  }
  for (const double rate : {2.0, 2.5, 3.0, 4.0}) {
    add("sinq_trellis_u6", Config<Trellis>{.quantizer = {.rate = rate}, .aux = AuxFormat::kU6});
  }
  add("sinq_trellis_fast_u6", Config<Trellis>{.quantizer = Trellis::fast(2.0), .aux = AuxFormat::kU6});
}

/// What a Sinkhorn pass, its early end and the storage of scales cost: the same matrix with less of each.
void add_ablation() {
  for (const int passes : {1, 2, 4}) {
    add("sinq_passes" + std::to_string(passes), Sinq{.normalizer = {.iterations = passes}});
  }
}

void add_dequantizers() {
  add_dequantize("sinq", Sinq{});
  add_dequantize("rtn", Rtn{});
  for (const int bits : {2, 3, 8}) add_dequantize("sinq", Sinq{.quantizer = {.bits = bits}});
  add_dequantize("sinq_nf4", Config<Codebook>{.quantizer = codebooks::kNf4});
  add_dequantize("sinq_u8", Sinq{.aux = AuxFormat::kU8});
  for (const double rate : {2.0, 2.5, 4.0})
    add_dequantize("trellis", Config<Trellis>{.quantizer = Trellis::fast(rate)});
  add_dequantize("sinq", Sinq{}, {.threads = 2});
  for (const Isa isa : {Isa::kAvx2, Isa::kPortable}) {
    if (resolve(isa) != isa || resolve(Isa::kBest) == isa) continue;
    add_dequantize("sinq_" + std::string(name(isa)), Sinq{}, {.isa = isa});
  }
}

/// Last, because they share 356 MB that are filled for each.
void add_large_layers() {
  for (const Shape shape : {shapes::kDown, shapes::kUp}) {
    add("rtn", Rtn{}, {.shape = shape});
    add("sinq", Sinq{}, {.shape = shape});
    add("sinq_nf4", Config<Codebook>{.quantizer = codebooks::kNf4}, {.shape = shape});
  }
}

}  // namespace

int main(int argc, char** argv) {
  add_methods();
  add_searched();
  add_ablation();
  add_dequantizers();
  add_large_layers();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
