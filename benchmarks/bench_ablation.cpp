// What each step of the Sinkhorn normalizer contributes to its speed: the method with one of them taken away.
#include <sinq/detail/tile_loader.hpp>
#include <sinq/normalize/sinkhorn.hpp>
#include <sinq/normalize/tile_deviations.hpp>

#include "shapes.hpp"
#include "support/timing.hpp"
#include "support/weights.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace sinq::bench {

inline constexpr Index kRows = shapes::kAttention.rows;
inline constexpr Index kCols = 64;  ///< of a strip
inline constexpr Index kStrips = shapes::kAttention.cols / kCols;
static_assert(kRows % detail::kMomentRows == 0);

/// What makes the method fast. A variant is a set of steps that it does without.
enum Step : unsigned {
  kNothing = 0,
  kScratch = 1,       ///< a strip is copied together; else it is read where it lies, rows a matrix row apart
  kFetchAhead = 2,    ///< rows of the matrix are fetched long before they are read
  kFusedSweep = 4,    ///< moments of rows and of columns in one sweep
  kJointRowSums = 8,  ///< the partial sums of as many rows as a vector has lanes are transposed and added up together
  kProductUpdates = 16,  ///< scales are multiplied; else their logarithms are added to, one std::log and std::exp each
  kEarlyStop = 32,       ///< iteration ends where the imbalance rises
  kMomentsInCopy = 64,   ///< the first moments are taken while the strip is copied
  kEverything = 127,
};

[[nodiscard]] constexpr bool keeps(unsigned taken_away, Step step) noexcept { return (taken_away & step) == 0; }

/// kRows x kCols weights.
struct Strip {
  const float* data;
  Index row_stride;

  [[nodiscard]] const float* row(Index r) const noexcept { return data + r * row_stride; }
};

template <class Tag>
struct AblationKernel;

}  // namespace sinq::bench

#define SINQ_KERNEL "support/ablation_kernel.hpp"
#include <sinq/detail/for_each_isa.hpp>

namespace {

using namespace sinq;
using namespace sinq::bench;
using benchmark::State;

/// The result for a whole matrix.
struct DualScales {
  std::vector<float> row = std::vector<float>(kStrips * kRows), col = std::vector<float>(kStrips * kCols);
  int passes = 0;

  [[nodiscard]] DualScaleSpan strip(Index s) noexcept { return {row.data() + s * kRows, col.data() + s * kCols}; }
};

struct Memory {
  Scratch tile, moments, normalizer;
};

/// The library's own.
int balance_by_library(const MatrixView& w, Index col, Memory& memory, DualScaleSpan scales) {
  detail::LoadedTile loaded({.data = memory.tile.floats(kRows * kCols), .rows = kRows, .cols = kCols, .stride = kCols},
                            memory.moments);
  static_cast<void>(loaded.load(w, 0, col, 1.0F, InputRounding::kNone, Isa::kBest));
  const TileView tile = loaded.view(detail::power_of_two_near(loaded.typical_square(loaded.mean_square())));
  return Sinkhorn{}.balance(tile, scales, memory.normalizer, Isa::kBest).passes;
}

/// Scales of rows or of columns while they are iterated.
struct Scales {
  float *inverse, *logarithm, *std;
  Index count;

  template <class Tag, unsigned kOut>
  void update(const detail::UpdateLimits& limits) const noexcept {
    if constexpr (keeps(kOut, kProductUpdates)) {
      detail::SinkhornSteps<Tag>::update(inverse, std, count, limits);
    } else {
      constexpr Sinkhorn kConfig;
      for (Index i = 0; i < count; ++i) {
        const float ratio = std::clamp(std[i], limits.min_std, limits.max_std) / limits.target;
        const float step = std::log(std::clamp(ratio, limits.min_update, limits.max_update));
        logarithm[i] = std::clamp(logarithm[i] + step, kConfig.min_log_scale, kConfig.max_log_scale);
        inverse[i] = std::exp(-logarithm[i]);
      }
    }
  }
};

/// But for the target, which is left at its offset.
detail::UpdateLimits limits_of(float unit) {
  constexpr Sinkhorn kConfig;
  return {.target = 1e-6F * unit,
          .min_std = kConfig.min_std * unit,
          .max_std = kConfig.max_std * unit,
          .min_update = kConfig.min_update,
          .max_update = kConfig.max_update,
          .min_inverse = std::exp(-kConfig.max_log_scale),
          .max_inverse = std::exp(-kConfig.min_log_scale)};
}

/// The same without some steps, and without what the library does about degenerate tiles. Returns the passes.
template <class Tag, unsigned kOut>
int balance_without(const Strip& source, Memory& memory, DualScaleSpan out) {
  using Kernel = AblationKernel<Tag>;
  float* copy = memory.tile.floats(kRows * kCols);
  const Strip tile = keeps(kOut, kScratch) ? Strip{copy, kCols} : source;
  float* unused = memory.normalizer.floats(4 * kRows + 3 * kCols + 4 * kCols);
  const auto take = [&](Index count) { return std::exchange(unused, unused + count); };
  const Scales row{take(kRows), take(kRows), take(kRows), kRows};
  const Scales col{take(kCols), take(kCols), take(kCols), kCols};
  float* row_sum = take(kRows);
  auto* col_sum = reinterpret_cast<double*>(take(4 * kCols));
  const TileMoments moments{row_sum, row.std, col_sum, col_sum + kCols};
  for (const Scales& s : {row, col}) {
    std::fill(s.inverse, s.inverse + s.count, 1.0F);
    std::fill(s.logarithm, s.logarithm + s.count, 0.0F);
  }
  detail::UpdateLimits limits{};
  float best = std::numeric_limits<float>::infinity();
  bool improves = true;
  int passes = 0;
  while (passes < Sinkhorn{}.iterations) {
    const bool copies = passes == 0 && keeps(kOut, kScratch);
    const Index rows_at_a_time = copies && keeps(kOut, kMomentsInCopy) ? detail::kMomentRows : kRows;
    std::fill(col_sum, col_sum + 2 * kCols, 0.0);
    for (Index r = 0; r < kRows; r += rows_at_a_time) {
      const RowRange rows{r, r + rows_at_a_time};
      if (copies) Kernel::template copy<kOut>(source, rows, copy);
      Kernel::template add_moments<kOut>(tile, rows, row.inverse, col.inverse, moments);
    }
    if (passes == 0) {
      const double square = std::accumulate(moments.row_square, moments.row_square + kRows, 0.0);
      limits = limits_of(detail::power_of_two_near(square / static_cast<double>(kRows * kCols)));
    }
    auto [least, most, offset] =
        detail::SinkhornSteps<Tag>::deviations(moments.row_sum, moments.row_square, row.inverse, kRows, kCols);
    for (Index c = 0; c < kCols; ++c) {
      const double mean_part = moments.col_sum[c] * moments.col_sum[c] / static_cast<double>(kRows);
      col.std[c] = static_cast<float>(std::sqrt((moments.col_square[c] - mean_part) / static_cast<double>(kRows - 1)));
      least = std::min(least, col.std[c]);
      most = std::max(most, col.std[c]);
    }
    if (passes++ == 0) limits.target += std::clamp(least, limits.min_std, limits.max_std);
    // Once it has risen, the reference keeps nothing any more.
    improves = improves && most / least <= best;
    if (improves) {
      best = most / least;
      std::copy(row.inverse, row.inverse + kRows, out.row);
      std::copy(col.inverse, col.inverse + kCols, out.col);
    } else if (keeps(kOut, kEarlyStop)) {
      break;
    }
    row.update<Tag, kOut>(limits);
    col.update<Tag, kOut>(limits);
  }
  for (Index r = 0; r < kRows; ++r) out.row[r] = 1.0F / out.row[r];
  for (Index c = 0; c < kCols; ++c) out.col[c] = 1.0F / out.col[c];
  return passes;
}

[[nodiscard]] float greatest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float greatest = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::abs(a[i] / b[i] - 1.0F);
    if (!(difference <= greatest)) greatest = difference;  // NaN too
  }
  return greatest;
}

/// `balance(matrix, first column of the strip, memory, scales)` returns the passes.
template <class Balance>
void add(const std::string& variant, Balance balance) {
  const auto run = [balance](State& state) {
    const MatrixView w = weights().view(shapes::kAttention, ScalarType::kF32);
    Memory memory;
    const auto all_strips = [&](auto&& f, DualScales& out) {
      out.passes = 0;
      for (Index s = 0; s < kStrips; ++s) out.passes += f(w, s * kCols, memory, out.strip(s));
    };
    DualScales scales, expected;
    all_strips(balance, scales);
    all_strips(balance_by_library, expected);
    const float difference =
        std::max(greatest_difference(scales.row, expected.row), greatest_difference(scales.col, expected.col));
    if (!(difference < 1e-3F)) {
      return state.SkipWithError(("scales differ from the library's by " + std::to_string(difference)).c_str());
    }
    Fastest fastest, fastest_all;
    for (auto _ : state) {
      fastest.measure(Clock::kThread, [&] { all_strips(balance, scales); });
      state.PauseTiming();
      fastest_all.measure(Clock::kThread, [&] { all_strips(balance_by_library, expected); });
      state.ResumeTiming();
    }
    state.counters["weights_per_second"] = static_cast<double>(shapes::kAttention.weights()) / fastest.value();
    state.counters["ratio_to_all"] = fastest.value() / fastest_all.value();
    state.counters["passes"] = static_cast<double>(scales.passes) / static_cast<double>(kStrips);
    state.SetLabel(std::string(name(resolve(Isa::kBest))));
  };
  const std::string name = "ablation/" + variant + "/rows:4096/cols:4096/threads:1";
  benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond);
}

template <unsigned kOut>
void add_without(const std::string& variant) {
  add(variant, [](const MatrixView& w, Index col, Memory& memory, DualScaleSpan scales) {
    const Strip strip{static_cast<const float*>(w.data) + col, w.row_stride};
    return dispatch(Isa::kBest, [&](auto tag) { return balance_without<decltype(tag), kOut>(strip, memory, scales); });
  });
}

}  // namespace

int main(int argc, char** argv) {
  add("all", balance_by_library);
  add_without<kNothing>("all_rebuilt");  // the control: the others are this without a step
  add_without<kScratch | kFetchAhead>("no_scratch");
  add_without<kScratch>("no_scratch_fetched_ahead");
  add_without<kFetchAhead>("no_fetch_ahead");
  add_without<kFusedSweep>("two_sweeps");
  add_without<kJointRowSums>("row_by_row_sums");
  add_without<kProductUpdates>("exp_log_updates");
  add_without<kEarlyStop>("no_early_stop");
  add_without<kMomentsInCopy>("moments_after_copy");
  add_without<kEverything>("none");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
