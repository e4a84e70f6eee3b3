#include "support/kernel_benchmark.hpp"

#include <sinq/kernels/trellis.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "support/bits_text.hpp"
#include "support/machine_limits.hpp"
#include "support/timing.hpp"

#include <Eigen/Core>
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

namespace sinq::bench {
namespace {

Clock clock_of(const KernelSetup& setup) { return setup.threads == 1 ? Clock::kThread : Clock::kWall; }
double weights_of(const KernelSetup& setup) { return static_cast<double>(setup.format.shape.weights()); }

std::string tail_of(const PackedFormat& format, Index batch, Index threads) {
  return "/batch:" + std::to_string(batch) + "/rows:" + std::to_string(format.shape.rows) +
         "/cols:" + std::to_string(format.shape.cols) + "/threads:" + std::to_string(threads);
}

std::string name_of(const KernelSetup& setup) {
  std::string name = setup.batch == 1 ? "matvec/" : "matmul/";
  name += setup.precision == Precision::kFloat ? "float" : setup.precision == Precision::kInt8 ? "int8" : "int15";
  if (setup.order == Order::kRowMajor) name += "_row_major";
  if (setup.isa != Isa::kBest) name.append("_").append(sinq::name(setup.isa));
  if (setup.format.aux == AuxFormat::kU8) name += "_u8aux";
  if (setup.format.aux == AuxFormat::kU6) name += "_u6aux";
  name += setup.place == Place::kHot ? "/hot" : "/cold";
  name += "/bits:" + bits_text(setup.format.bits, setup.format.quarter_bits);
  if (setup.format.levels == Levels::kCodebook) name += "nf";
  if (setup.format.levels == Levels::kTrellis) name += "t";
  name += "/group:" + std::to_string(setup.format.group) + tail_of(setup.format, setup.batch, setup.threads);
  if (setup.format.col_scale == ColScaleKind::kNone) name += "/no_col_scale";
  return name;
}

/// Calls f with the executor of a number of threads.
template <class F>
void with_executor(Index threads, F&& f) {
  if (threads == 1) return f(Serial{});
  static ThreadPool pool(2);
  if (pool.concurrency() == threads) return f(pool);
  return f(ThreadPool(threads));
}

/// [batch, cols], normal.
std::vector<float> activations(Index batch, Index cols) {
  Random random(2);
  std::vector<float> x(static_cast<std::size_t>(batch * cols));
  for (float& v : x) v = random.normal();
  return x;
}

/// A layer, and what it is multiplied with.
class KernelRun {
 public:
  explicit KernelRun(const KernelSetup& setup)
      : setup_(setup),
        row_major_(quantize_layer(setup.format)),
        interleaved_(runs_as_stored() ? RepackedMatrix() : repack(row_major_)),
        x_(activations(setup.batch, setup.format.shape.cols)),
        y_(static_cast<std::size_t>(setup.batch * setup.format.shape.rows)) {}

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return runs_as_stored() ? row_major_.storage() : interleaved_.storage();
  }
  /// Stored bits per weight, all scales included.
  [[nodiscard]] double bits_per_weight() const { return row_major_.bits_per_weight(); }

  /// The whole product, column scales and quantization of the activations included, with a layer in `bytes`.
  template <class Executor>
  void multiply(std::span<const std::byte> bytes, const Executor& executor) {
    if (setup_.format.levels == Levels::kTrellis && setup_.order != Order::kRowMajor) {
      multiply_with(TrellisView(QuantizedView::from_buffer(row_major_.layout(), bytes)), executor);
    } else if (runs_as_stored()) {
      multiply_with(QuantizedView::from_buffer(row_major_.layout(), bytes), executor);
    } else {
      multiply_with(RepackedView::from_buffer(interleaved_.layout(), bytes), executor);
    }
  }

  /// Relative error of some rows of the last product; empty if it is what the precision allows, else what is wrong.
  [[nodiscard]] std::string problem(double& relative) const {
    constexpr Index kRows = 48;
    const Index cols = setup_.format.shape.cols, rows = setup_.format.shape.rows;
    double error = 0.0, square = 0.0;
    std::vector<float> w(static_cast<std::size_t>(kRows * cols));
    for (const Index first : {Index{0}, rows - kRows}) {
      dequantize_rows(row_major_, {first, first + kRows}, w);
      for (Index b = 0; b < setup_.batch; ++b) {
        for (Index r = 0; r < kRows; ++r) {
          double sum = 0.0;
          for (Index c = 0; c < cols; ++c) {
            sum += static_cast<double>(w[static_cast<std::size_t>(r * cols + c)]) *
                   static_cast<double>(x_[static_cast<std::size_t>(b * cols + c)]);
          }
          error += std::pow(static_cast<double>(y_[static_cast<std::size_t>(b * rows + first + r)]) - sum, 2);
          square += sum * sum;
        }
      }
    }
    relative = std::sqrt(error / square);
    const double limit = setup_.precision == Precision::kFloat  ? 1e-5
                         : setup_.precision == Precision::kInt8 ? 1e-2
                                                                : 2e-4;
    if (relative < limit) return {};
    return "wrong result: relative error " + std::to_string(relative) + ", at most " + std::to_string(limit);
  }

 private:
  [[nodiscard]] bool runs_as_stored() const {
    return setup_.order == Order::kRowMajor || setup_.format.levels == Levels::kTrellis;
  }

  template <class View, class Executor>
  void multiply_with(const View& view, const Executor& executor) {
    const Index rows = view.rows();
    input_.assign(view, Activations(x_.data(), setup_.batch, view.cols()), setup_.precision, setup_.isa);
    const Index shares = executor.concurrency() == 1 ? 1 : 4 * executor.concurrency();
    const Index step = round_up(ceil_div(rows, shares), TrellisGeometry::kPanelRows);
    executor.run(ceil_div(rows, step), [&](Index share, Index) {
      const RowRange range{share * step, std::min(rows, (share + 1) * step)};
      if (setup_.batch == 1) {
        matvec(view, input_, range, y_, Output::kOverwrite, setup_.isa);
      } else {
        matmul(view, input_, range, y_.data(), rows, Output::kOverwrite, setup_.isa);
      }
    });
  }

  KernelSetup setup_;
  QuantizedMatrix row_major_;
  RepackedMatrix interleaved_;
  std::vector<float> x_, y_;
  ScaledInput input_;
};

void report(benchmark::State& state, double weights, Index batch, double bytes, double seconds) {
  state.counters["weights_per_second"] = weights / seconds;
  state.counters["macs_per_second"] = weights * static_cast<double>(batch) / seconds;
  state.counters["bytes_per_second"] = bytes / seconds;
}

/// Seconds of one product (of `fastest`) and of reading the layer once, measured in turn.
struct KernelTimes {
  double product = 0.0;
  double read = 0.0;
};

template <class Product>
KernelTimes time_product(benchmark::State& state, Place place, Clock clock, std::span<const std::byte> layer,
                         Product product) {
  Fastest fastest, fastest_read;
  if (place == Place::kHot) {
    product(layer);
    for (auto _ : state) {
      fastest.measure(clock, [&] { product(layer); });
      state.PauseTiming();
      fastest_read.measure(Clock::kThread, [&] { read_once(layer.data(), static_cast<Index>(layer.size())); });
      state.ResumeTiming();
    }
    return {fastest.value(), fastest_read.value()};
  }
  ColdCopies& copies = cold_copies();
  copies.fill(layer);
  // Tens of milliseconds without an interruption are rare on a busy machine: sixteen copies at a time, then a read of
  // sixteen others.
  const Index kTogether = std::min<Index>(16, copies.count() / 4);
  const Index groups = copies.count() / kTogether;
  Index group = 0;
  for (auto _ : state) {
    for (Index i = 0; i < groups; ++i, group = (group + 1) % groups) {
      const auto each = [&](auto&& use) {
        for (Index k = 0; k < kTogether; ++k) use(copies.copy(group * kTogether + k));
      };
      if (i % 2 == 0) {
        fastest.measure(clock, [&] { each(product); });
      } else {
        fastest_read.measure(Clock::kThread, [&] {
          each([](std::span<const std::byte> copy) { read_once(copy.data(), static_cast<Index>(copy.size())); });
        });
      }
    }
  }
  return {fastest.value() / static_cast<double>(kTogether), fastest_read.value() / static_cast<double>(kTogether)};
}

/// Times the kernels.
void run_kernel(benchmark::State& state, const KernelSetup& setup) {
  KernelRun run(setup);
  with_executor(setup.threads, [&](const auto& executor) {
    run.multiply(run.bytes(), executor);
    double relative = 0.0;
    if (const std::string problem = run.problem(relative); !problem.empty()) {
      return state.SkipWithError(problem.c_str());
    }
    const KernelTimes times = time_product(state, setup.place, clock_of(setup), run.bytes(),
                                           [&](std::span<const std::byte> bytes) { run.multiply(bytes, executor); });
    const auto bytes = static_cast<double>(run.bytes().size());
    report(state, weights_of(setup), setup.batch, bytes, times.product);
    state.counters["of_read_bandwidth"] = times.read / times.product;
    state.counters["bits_per_weight"] = run.bits_per_weight();
    state.counters["relative_error"] = relative;
    state.SetLabel(std::string(sinq::name(resolve(setup.isa))));
  });
}

/// The same product with and without column scales in turn: `cost_of_col_scale` is what they add to the time.
void run_control(benchmark::State& state, KernelSetup setup) {
  setup.format.col_scale = ColScaleKind::kStored;
  KernelRun with(setup);
  setup.format.col_scale = ColScaleKind::kNone;
  KernelRun without(setup);
  Fastest fastest_with, fastest_without;
  for (auto _ : state) {
    fastest_with.measure(clock_of(setup), [&] { with.multiply(with.bytes(), Serial{}); });
    fastest_without.measure(clock_of(setup), [&] { without.multiply(without.bytes(), Serial{}); });
  }
  report(state, weights_of(setup), setup.batch, static_cast<double>(without.bytes().size()), fastest_without.value());
  state.counters["cost_of_col_scale"] = fastest_with.value() / fastest_without.value() - 1.0;
  state.SetLabel(std::string(sinq::name(resolve(setup.isa))));
}

/// float32 weights and Eigen, as compiled.
void run_dense(benchmark::State& state, Place place, Index batch) {
  const PackedFormat format;
  const MatrixView w = weights().view(format.shape, ScalarType::kF32);
  const auto rows = w.rows, cols = w.cols;
  const std::vector<float> x = activations(batch, cols);
  const Eigen::Map<const RowMatrix> input(x.data(), batch, cols);
  RowMatrix y(batch, rows);
  const std::span<const std::byte> layer(static_cast<const std::byte*>(w.data),
                                         static_cast<std::size_t>(4 * rows * cols));
  const KernelTimes times = time_product(state, place, Clock::kThread, layer, [&](std::span<const std::byte> bytes) {
    const Eigen::Map<const RowMatrix> dense(reinterpret_cast<const float*>(bytes.data()), rows, cols);
    if (batch == 1) {
      y.row(0).transpose().noalias() = dense * input.row(0).transpose();
    } else {
      y.noalias() = input * dense.transpose();
    }
    benchmark::DoNotOptimize(y.data());
  });
  report(state, static_cast<double>(rows * cols), batch, static_cast<double>(layer.size()), times.product);
  state.counters["of_read_bandwidth"] = times.read / times.product;
}

}  // namespace

void add_kernel(const KernelSetup& setup) {
  const bool is_control = setup.format.col_scale == ColScaleKind::kNone;
  benchmark::RegisterBenchmark(name_of(setup).c_str(), [=](benchmark::State& state) {
    is_control ? run_control(state, setup) : run_kernel(state, setup);
  })->Unit(benchmark::kMicrosecond);
}

void add_dense(Place place, Index batch) {
  const std::string name = (batch == 1 ? "matvec" : "matmul") + std::string("/dense_eigen/") +
                           (place == Place::kHot ? "hot" : "cold") + tail_of({}, batch, 1);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    run_dense(state, place, batch);
  })->Unit(benchmark::kMicrosecond);
}

int run_all(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace sinq::bench
