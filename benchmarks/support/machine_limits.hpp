#pragma once

#include <sinq/isa.hpp>
#include <sinq/types.hpp>

#include "support/timing.hpp"
#include "support/weights.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cstring>

namespace sinq::bench {

template <class Tag>
struct LimitKernels;

}  // namespace sinq::bench

#define SINQ_KERNEL "support/machine_limits_kernel.hpp"
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::bench {

/// Reads `bytes` once, on the calling thread.
inline void read_once(const void* data, Index bytes) {
  float sum = dispatch(Isa::kBest, [&](auto tag) {
    return LimitKernels<decltype(tag)>::read(static_cast<const float*>(data), bytes / Index{sizeof(float)});
  });
  benchmark::DoNotOptimize(sum);
}

/// What one core can do at best, measured in this run.
struct CoreLimits {
  double cache_bytes = 0.0;  ///< read from the second cache, per second
  double operations = 0.0;   ///< floating-point vector instructions times lanes, per second (an FMA counts once)
};

[[nodiscard]] inline CoreLimits measure_core_limits(Isa isa) {
  constexpr int kRepetitions = 20;
  constexpr Index kTileBytes = Index{1} << 20;  // a strip of 64 columns of 4096 rows
  Buffer tile(kTileBytes);
  std::memset(tile.data(), 0, static_cast<std::size_t>(kTileBytes));
  Fastest read, compute;
  constexpr Index kRounds = 50000;
  double operations = 0.0;
  for (int i = 0; i < kRepetitions; ++i) {
    read.measure(Clock::kThread, [&] { read_once(tile.data(), kTileBytes); });
    compute.measure(Clock::kThread, [&] {
      float sum = dispatch(isa, [&](auto tag) {
        operations = static_cast<double>(kRounds * LimitKernels<decltype(tag)>::kOperationsPerRound);
        return LimitKernels<decltype(tag)>::multiply_add(kRounds);
      });
      benchmark::DoNotOptimize(sum);
    });
  }
  return {static_cast<double>(kTileBytes) / read.value(), operations / compute.value()};
}

/// The limits under `isa`, measured when first asked for.
[[nodiscard]] inline const CoreLimits& core_limits(Isa isa) {
  static std::array<CoreLimits, 4> known;
  CoreLimits& limits = known[static_cast<std::size_t>(resolve(isa))];
  if (limits.operations == 0.0) limits = measure_core_limits(isa);
  return limits;
}

}  // namespace sinq::bench
