#include <sinq/quantizers/trellis_search.hpp>
#include <sinq/quantizers/trellis_start.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using sinq::Index;
using sinq::Isa;
using sinq::TrellisGeometry;
using sinq::TrellisTables;
using sinq::detail::TrellisMemory;
using sinq::detail::TrellisRun;
using sinq::detail::TrellisSearch;

constexpr Index kLanes = TrellisRun::kLanes;
/// Tables to search with.
const TrellisTables& start(int quarter_bits) { return sinq::detail::trellis_start(quarter_bits).tables; }

constexpr int kStates = TrellisGeometry::kStates;

/// Targets of some steps, a few beyond all levels, and weights over two octaves.
struct Source {
  Index steps;
  std::vector<float> targets, weights;

  Source(Index count, std::uint64_t seed) : steps(count) {
    sinq::test::Random random(seed);
    for (Index i = 0; i < count * kLanes; ++i) {
      targets.push_back(static_cast<float>(random.gaussian() * (random.bits() % 64 == 0 ? 150.0 : 36.0)));
      weights.push_back(static_cast<float>(std::exp2(random.uniform() * 2.0 - 1.0)));
    }
  }
  [[nodiscard]] TrellisRun run() const {
    return {.steps = steps, .commit = steps, .targets = targets.data(), .weights = weights.data()};
  }
};

std::vector<std::uint16_t> search(const TrellisSearch& search, const TrellisRun& run) {
  std::vector<std::uint16_t> windows(static_cast<std::size_t>(run.commit * kLanes));
  TrellisMemory memory;
  search.search(run, windows.data(), memory);
  return windows;
}

/// Viterbi's algorithm as in a textbook, for one lane, in double.
class SlowViterbi {
 public:
  SlowViterbi(const TrellisSearch& search, const TrellisTables& tables, int quarter_bits)
      : search_(search), tables_(tables), geometry_{.quarter_bits = quarter_bits} {}

  /// What every level costs in one step, from -128 on.
  [[nodiscard]] std::vector<double> costs(const TrellisRun& run, Index lane, Index s) const {
    float sum = 0.0F;
    for (Index i = 0; i < run.steps; ++i) sum += run.weights[i * kLanes + lane];
    const float unit = search_.plan().exact.unit_of(sum, run.steps);
    const float target = run.targets[s * kLanes + lane], weight = run.weights[s * kLanes + lane];
    std::vector<double> out;
    for (int level = -128; level < 128; ++level) {
      out.push_back(search_.plan().cost(target, weight, unit, static_cast<std::int16_t>(64 * level)));
    }
    return out;
  }

  [[nodiscard]] double least(const TrellisRun& run, Index lane) const {
    constexpr double kNever = std::numeric_limits<double>::infinity();
    std::vector<double> before(kStates, 0.0), after(kStates);
    const auto matches = [](std::uint32_t window, std::uint32_t wanted, int bits) {
      const std::uint32_t seen = (1U << (TrellisGeometry::kWindowBits - bits)) - 1U;
      return (window & seen) == (wanted & seen);
    };
    for (std::uint32_t w = 0; w < kStates; ++w) {
      if (run.start != nullptr && !matches(w, run.start[lane], geometry_.step_bits(run.first_step))) before[w] = kNever;
    }
    for (Index s = 0; s < run.steps; ++s) {
      const int bits = geometry_.step_bits(run.first_step + s);
      const std::vector<double> of_level = costs(run, lane, s);
      for (std::uint32_t w = 0; w < kStates; ++w) {
        double best = kNever;
        for (std::uint32_t k = 0; k < 1U << bits; ++k) {
          best = std::min(best, before[w >> bits | k << (TrellisGeometry::kWindowBits - bits)]);
        }
        after[w] = best + of_level[static_cast<std::size_t>(tables_.level(w) + 128)];
      }
      std::swap(before, after);
    }
    double best = kNever;
    for (std::uint32_t w = 0; w < kStates; ++w) {
      const int bits = geometry_.step_bits(run.first_step + run.steps);
      if (run.end == nullptr || matches(w, run.end[lane], bits)) best = std::min(best, before[w]);
    }
    return best;
  }

  [[nodiscard]] double of_path(const TrellisRun& run, Index lane, const std::vector<std::uint16_t>& windows) const {
    double sum = 0.0;
    for (Index s = 0; s < run.steps; ++s) {
      sum +=
          costs(run, lane,
                s)[static_cast<std::size_t>(tables_.level(windows[static_cast<std::size_t>(s * kLanes + lane)]) + 128)];
    }
    return sum;
  }

 private:
  const TrellisSearch& search_;
  const TrellisTables& tables_;
  TrellisGeometry geometry_;
};

/// Each window follows from the one before.
testing::AssertionResult is_stream(const std::vector<std::uint16_t>& windows, int quarter_bits, Index first_step) {
  const TrellisGeometry geometry{.quarter_bits = quarter_bits};
  for (std::size_t i = kLanes; i < windows.size(); ++i) {
    const int bits = geometry.step_bits(first_step + static_cast<Index>(i) / kLanes);
    const int kept = windows[i - kLanes] & ((1 << (TrellisGeometry::kWindowBits - bits)) - 1);
    if (windows[i] >> bits != kept) return testing::AssertionFailure() << "broken at " << i;
  }
  return testing::AssertionSuccess();
}

TEST(TrellisSearchTest, NoPathCostsLess) {
  for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
    const TrellisSearch fast(start(q), q, Isa::kBest);
    const SlowViterbi slow(fast, start(q), q);
    const Source source(24, static_cast<std::uint64_t>(q));
    const std::vector<std::uint16_t> windows = search(fast, source.run());
    ASSERT_TRUE(is_stream(windows, q, 0));
    for (const Index lane : {Index{0}, Index{63}}) {
      EXPECT_EQ(slow.of_path(source.run(), lane, windows), slow.least(source.run(), lane)) << q << ", lane " << lane;
    }
  }
}

TEST(TrellisSearchTest, BothEndsCanBeGiven) {
  for (const int q : {6, 9, 10, 18}) {
    const TrellisGeometry geometry{.quarter_bits = q};
    const TrellisSearch fast(start(q), q, Isa::kBest);
    const SlowViterbi slow(fast, start(q), q);
    const Source source(24, 7);
    TrellisRun run = source.run();
    run.first_step = 8;
    std::vector<std::uint16_t> start, end;
    for (Index lane = 0; lane < kLanes; ++lane) {
      start.push_back(static_cast<std::uint16_t>(37 * lane));
      end.push_back(static_cast<std::uint16_t>(4095 - 11 * lane));
    }
    run.start = start.data();
    run.end = end.data();
    for (const bool coarse : {true, false}) {
      run.coarse = coarse;
      const std::vector<std::uint16_t> windows = search(fast, run);
      ASSERT_TRUE(is_stream(windows, q, 8));
      for (Index lane = 0; lane < kLanes; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const int bits = geometry.step_bits(8), seen = (1 << (12 - bits)) - 1;
        EXPECT_EQ(windows[at] >> bits, start[at] & seen);
        EXPECT_EQ(windows[windows.size() - 64 + at] & seen, end[at] & seen);
      }
      if (!coarse) {
        EXPECT_EQ(slow.of_path(run, 5, windows), slow.least(run, 5)) << q;
      }
    }
  }
}

// Longer than what is kept in memory: pieces, each of which goes on from where the one before was decided.
TEST(TrellisSearchTest, LongRunsAreSearchedInPiecesAtNoCost) {
  constexpr Index kSteps = TrellisSearch::kMostSteps + 136;
  const int q = 12;
  const TrellisSearch fast(start(q), q, Isa::kBest);
  const SlowViterbi slow(fast, start(q), q);
  Source source(kSteps, 3);
  // In one unit, or the pieces would round differently.
  for (float& w : source.weights) w = 1.0F;
  TrellisMemory memory;
  std::vector<std::uint16_t> windows(static_cast<std::size_t>(kSteps * kLanes));
  fast.search(source.run(), windows.data(), memory);
  ASSERT_TRUE(is_stream(windows, q, 0));
  EXPECT_EQ(slow.of_path(source.run(), 17, windows), slow.least(source.run(), 17));
  EXPECT_LE(memory.choices.size(), std::size_t{TrellisSearch::kMostSteps} * 256 * 32);
}

TEST(TrellisSearchTest, PanelsAreCyclic) {
  for (const int q : {6, 10, 13}) {
    const TrellisGeometry geometry{.quarter_bits = q};
    const TrellisSearch fast(start(q), q, Isa::kBest);
    const Source source(32, 4);
    std::vector<std::uint16_t> windows(static_cast<std::size_t>(source.steps * kLanes));
    TrellisMemory memory;
    fast.search_panel(source.steps, source.targets.data(), source.weights.data(), false, windows.data(), memory);
    ASSERT_TRUE(is_stream(windows, q, 0));
    const int bits = geometry.step_bits(0);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      EXPECT_EQ(windows[lane] >> bits, windows[windows.size() - kLanes + lane] & ((1 << (12 - bits)) - 1));
    }
    // What is written is read back.
    std::vector<std::uint8_t> block(static_cast<std::size_t>(geometry.block_bytes()));
    TrellisGeometry of_block = geometry;
    of_block.rows = 128;
    of_block.cols = 16;
    of_block.write_block(windows.data(), block.data());
    for (Index s = 0; s < 32; ++s) {
      EXPECT_EQ(of_block.window(block.data(), 9, s), windows[static_cast<std::size_t>(s * kLanes + 9)]);
    }
  }
}

TEST(TrellisSearchTest, SameWindowsForEveryInstructionSet) {
  for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
    const Source source(40, 5);
    for (const bool coarse : {false, true}) {
      TrellisRun run = source.run();
      run.coarse = coarse;
      std::vector<std::uint16_t> first;
      for (const Isa isa : sinq::test::supported_isas()) {
        const std::vector<std::uint16_t> windows = search(TrellisSearch(start(q), q, isa), run);
        if (first.empty()) first = windows;
        EXPECT_EQ(windows, first) << q << " bits / 4, " << sinq::name(isa);
      }
    }
  }
}

TEST(TrellisSearchTest, WithoutWeightNothingMatters) {
  Source source(32, 6);
  for (float& w : source.weights) w = 0.0F;
  const std::vector<std::uint16_t> windows = search(TrellisSearch(start(10), 10, Isa::kBest), source.run());
  for (const std::uint16_t w : windows) ASSERT_EQ(w, 0) << "the least of equals";
}

// Where all costs of 8 bits come to their end: whatever is found, it begins and ends where it should.
TEST(TrellisSearchTest, ACoarsePathKeepsItsEndsAtAnyTarget) {
  Source source(16, 8);
  sinq::test::Random random(8);
  for (float& t : source.targets) t = random.bits() % 2 == 0 ? 1e6F : -1e6F;
  for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
    std::vector<std::uint16_t> ends;
    for (Index lane = 0; lane < kLanes; ++lane) ends.push_back(static_cast<std::uint16_t>(random.bits() % kStates));
    TrellisRun run = source.run();
    run.start = run.end = ends.data();
    run.coarse = true;
    const std::vector<std::uint16_t> windows = search(TrellisSearch(start(q), q, Isa::kBest), run);
    ASSERT_TRUE(is_stream(windows, q, 0)) << q;
    const int bits = TrellisGeometry{.quarter_bits = q}.step_bits(0), seen = (1 << (12 - bits)) - 1;
    for (std::size_t lane = 0; lane < ends.size(); ++lane) {
      ASSERT_EQ(windows[lane] >> bits, ends[lane] & seen) << q;
      ASSERT_EQ(windows[windows.size() - ends.size() + lane] & seen, ends[lane] & seen) << q;
    }
  }
}

// The source that the rate-distortion bound is about; `least` is trellis.md's measurement of the experiment.
TEST(TrellisSearchTest, CodesAGaussianSourceAsWellAsTheExperiment) {
  struct Point {
    int quarter_bits;
    double distortion;
  };
  constexpr Index kSteps = 256;
  for (const auto& [q, expected] : {Point{6, 0.1427}, Point{8, 0.0733}, Point{10, 0.0376}, Point{12, 0.0194},
                                    Point{14, 0.0102}, Point{16, 0.00536}, Point{18, 0.00291}}) {
    const auto& [level, tables] = sinq::detail::trellis_start(q);
    const TrellisSearch fast(tables, q, Isa::kBest);
    sinq::test::Random random(9);
    std::vector<float> targets(kSteps * kLanes);
    const std::vector<float> weights(targets.size(), 1.0F);
    std::vector<std::uint16_t> windows(targets.size());
    TrellisMemory memory;
    double error = 0.0, coarse_error = 0.0, square = 0.0;
    for (int panel = 0; panel < 4; ++panel) {
      for (float& t : targets) t = static_cast<float>(random.gaussian()) / level;
      for (const bool coarse : {true, false}) {
        fast.search_panel(kSteps, targets.data(), weights.data(), coarse, windows.data(), memory);
        for (std::size_t i = 0; i < targets.size(); ++i) {
          (coarse ? coarse_error : error) += std::pow(static_cast<double>(targets[i]) - tables.level(windows[i]), 2);
        }
      }
      for (const float t : targets) square += std::pow(static_cast<double>(t), 2);
    }
    EXPECT_LT(coarse_error, 1.03 * error) << 0.25 * q << " bits";
    const double distortion = error / square;
    EXPECT_LT(distortion, 1.015 * expected) << 0.25 * q << " bits";
    EXPECT_GT(distortion, std::exp2(-0.5 * q)) << "below the rate-distortion bound";
  }
}

}  // namespace
