#include <sinq/calibration.hpp>
#include <sinq/eigen.hpp>
#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/matvec.hpp>
#include <sinq/parallel/openmp.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <new>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::MatrixView;
using sinq::QuantizedMatrix;
using sinq::test::throws_error;

constexpr Index kRows = 256, kCols = 128;

const std::vector<float>& weights() {
  static const std::vector<float> out = [] {
    std::vector<float> w(static_cast<std::size_t>(kRows * kCols));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i * i % 1009));
    return w;
  }();
  return out;
}
MatrixView matrix() { return MatrixView::row_major(weights().data(), kRows, kCols); }

/// What an engine might write: one thread per task, and nothing that catches.
struct ThreadPerTask {
  [[nodiscard]] Index concurrency() const { return 64; }
  template <class Task>
  void run(Index count, Task&& task) const {
    std::vector<std::thread> threads;
    for (Index i = 0; i < count; ++i) threads.emplace_back([&task, i] { task(i, i % 64); });
    for (std::thread& thread : threads) thread.join();
  }
};

/// Says that it has `threads` threads, and runs tasks as `worker`.
struct Claims {
  int threads;
  Index worker = 0;
  [[nodiscard]] int concurrency() const { return threads; }
  template <class Task>
  void run(Index count, Task&& task) const {
    for (Index i = 0; i < count; ++i) task(i, worker);
  }
};

/// Calls f(name, what calls the library with an executor) for every function that takes one.
template <class F>
void for_each_entry_point(F f) {
  const auto& w = weights();
  const sinq::Config<> config;
  f("quantize", [](const auto& e) { static_cast<void>(sinq::quantize(matrix(), sinq::Config<>{}, {}, e)); });
  f("quantize AnyConfig",
    [](const auto& e) { static_cast<void>(sinq::quantize(matrix(), sinq::AnyConfig(sinq::Config<>{}), {}, e)); });
  f("quantize Eigen", [&](const auto& e) {
    static_cast<void>(sinq::quantize(Eigen::Map<const sinq::RowMatrix>(w.data(), kRows, kCols), config, {}, e));
  });
  f("quantize_into", [&](const auto& e) {
    QuantizedMatrix out(sinq::layout_for(config, kRows, kCols));
    sinq::quantize_into(matrix(), config, out.storage(), {}, e);
  });
  QuantizedMatrix q = sinq::quantize(matrix());
  std::vector<float> out(w.size()), y(2 * kRows);
  f("dequantize_into", [&](const auto& e) { sinq::dequantize_into(q, out, sinq::Isa::kBest, e); });
  const std::span<const float> x = std::span(w).first(2 * kCols);
  f("matvec", [&](const auto& e) {
    sinq::matvec(q, sinq::Activations(x.first(kCols)), std::span(y).first(kRows), sinq::Precision::kInt15, e);
  });
  f("matmul",
    [&](const auto& e) { sinq::matmul(q, sinq::Activations(x.data(), 2, kCols), y, sinq::Precision::kInt15, e); });
  sinq::ActivationStats stats(kCols);
  stats.add(matrix());
  f("ActivationStats::add", [&](const auto& e) { stats.add(matrix(), e); });
  f("gptq", [&](const auto& e) { sinq::gptq(matrix(), stats, q, {}, e); });
  f("quantize_gptq",
    [&](const auto& e) { static_cast<void>(sinq::quantize_gptq(matrix(), stats, config, {}, {}, e)); });
  f("quantize_awq", [&](const auto& e) { static_cast<void>(sinq::quantize_awq(matrix(), stats, config, {}, {}, e)); });
}

TEST(ExecutorContract, ConcurrencyBelowOneIsRefusedEverywhere) {
  for_each_entry_point([](const char* name, const auto& call) {
    for (const int threads : {0, -1}) {
      EXPECT_TRUE(throws_error(Errc::kBadConfig, {"executor: concurrency", threads == 0 ? " 0 " : " -1 "}, [&] {
        call(Claims{threads});
      })) << name;
    }
    EXPECT_NO_THROW(call(Claims{3, 2})) << name;
  });
}

TEST(ExecutorContract, WorkersBeyondConcurrencyAreRefused) {
  for_each_entry_point([](const char* name, const auto& call) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"worker 3", "concurrency 3"}, [&] { call(Claims{3, 3}); })) << name;
  });
}

/// Tasks throw their index; all of them run, the lowest is rethrown, and the executor goes on afterwards.
template <class E>
void rethrows_the_first(const E& executor) {
  constexpr Index kTasks = 40;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> calls{0};
    Index caught = -1;
    try {
      sinq::detail::run_tasks(executor, kTasks, [&](Index i, Index) {
        ++calls;
        if (i % 3 == 2) throw i;
      });
    } catch (const Index i) {
      caught = i;
    }
    EXPECT_EQ(caught, 2);
    EXPECT_EQ(calls.load(), kTasks);
  }
  std::atomic<int> calls{0};
  sinq::detail::run_tasks(executor, kTasks, [&](Index, Index) { ++calls; });
  EXPECT_EQ(calls.load(), kTasks);
}

TEST(ExecutorContract, TheFirstExceptionIsRethrownWhenAllTasksHaveRun) {
  rethrows_the_first(sinq::Serial{});
  rethrows_the_first(sinq::ThreadPool(1));
  rethrows_the_first(sinq::ThreadPool(4));
  rethrows_the_first(ThreadPerTask{});
#ifdef _OPENMP
  rethrows_the_first(sinq::OpenMp{});
#endif
}

template <class E>
void direct_runs_rethrow(const E& executor) {
  std::atomic<int> calls{0};
  EXPECT_THROW(executor.run(10,
                            [&](Index i, Index) {
                              ++calls;
                              if (i > 3) throw std::bad_alloc();
                            }),
               std::bad_alloc);
  EXPECT_EQ(calls.load(), 10);
  executor.run(10, [&](Index, Index) { ++calls; });
  EXPECT_EQ(calls.load(), 20);
}

TEST(ExecutorContract, OwnTasksMayThrowToo) {
  direct_runs_rethrow(sinq::Serial{});
  direct_runs_rethrow(sinq::ThreadPool(1));
  const sinq::ThreadPool pool(4);
  direct_runs_rethrow(pool);
  // From inside a task, on the thread of the task.
  EXPECT_THROW(pool.run(4, [&](Index, Index) { pool.run(3, [](Index, Index) { throw std::runtime_error("inner"); }); }),
               std::runtime_error);
#ifdef _OPENMP
  direct_runs_rethrow(sinq::OpenMp{});
#endif
}

/// A user's quantizer with an error of its own.
struct Refuses {
  static constexpr std::array<float, 4> kLevels{-1.0F, 0.0F, 1.0F, 1.0F};
  void validate() const {}
  [[nodiscard]] sinq::CodeFormat format() const {
    return {.bits = 2, .symmetry = sinq::Symmetry::kSymmetric, .levels = kLevels};
  }
  [[nodiscard]] sinq::GroupFit fit(std::span<const float> group) const {
    if (group[0] == group[0]) throw std::domain_error("no such group");
    return {};
  }
};

template <class E>
void library_calls_rethrow(const E& executor) {
  const sinq::Config<> strips{.tile_cols = 64};
  EXPECT_THROW(static_cast<void>(sinq::quantize(matrix(), sinq::Config<Refuses>{.tile_cols = 64}, {}, executor)),
               std::domain_error);
  const sinq::QuantizeOptions full{.progress = [](Index, Index) -> sinq::ProgressAction { throw std::bad_alloc(); }};
  EXPECT_THROW(static_cast<void>(sinq::quantize(matrix(), strips, full, executor)), std::bad_alloc);
  std::vector<float> bad = weights();
  bad[200] = INFINITY;
  EXPECT_TRUE(throws_error(Errc::kBadData, {"[1, 72]"}, [&] {
    static_cast<void>(sinq::quantize(MatrixView::row_major(bad.data(), kRows, kCols), strips, {}, executor));
  }));
  EXPECT_NO_THROW(static_cast<void>(sinq::quantize(matrix(), strips, {}, executor)));
}

TEST(ExecutorContract, ExceptionsOfQuantizersAndCallbacksReachTheCaller) {
  library_calls_rethrow(sinq::Serial{});
  library_calls_rethrow(sinq::ThreadPool(3));
  library_calls_rethrow(ThreadPerTask{});
#ifdef _OPENMP
  library_calls_rethrow(sinq::OpenMp{});
#endif
}

}  // namespace
