#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/isa.hpp>
#include <sinq/packing/lane_trellis.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// Some neighbouring steps of all 64 lanes of a panel, to be searched together.
struct TrellisRun {
  static constexpr Index kLanes = TrellisGeometry::kLineBytes;

  Index first_step = 0;            ///< its place in the panel, which says how many bits each step has
  Index steps = 0;                 ///< this, first_step and commit are multiples of 8: whole quads of columns
  Index commit = 0;                ///< the first so many are decided, the others behind them only lend foresight
  const float* targets = nullptr;  ///< [steps][64] in units of one level; finite
  /// [steps][64] of squared errors, in any unit whose sums float holds; not negative, zero for padding. A weight above
  /// two to nine times (by rate) the mean of its lane counts as that: costs have 16 bits.
  const float* weights = nullptr;
  /// [64] windows of the step before the first; null: the bits in front of the run are free, too.
  const std::uint16_t* start = nullptr;
  /// [64] windows that the last step shall have, but for the bits that the step behind it no longer sees; null: free.
  const std::uint16_t* end = nullptr;
  bool coarse = false;  ///< costs have 8 bits: half the time, for a path that may be a little longer
};

/// Working memory of one thread: at most 17 MB with AVX-512, 9 with AVX2, half of it if no search is coarse, however
/// long a run is.
struct TrellisMemory {
  Vector<std::byte> costs;    ///< before and behind a step [2][states and gaps] vectors
  Vector<std::byte> levels;   ///< what each level costs [levels] vectors
  Vector<std::byte> choices;  ///< [steps][words] vectors
};

/// What a distance costs: its square, as a whole number.
struct TrellisCosts {
  int target_shift = 0;          ///< of distances before they are multiplied
  float unit = 0.0F;             ///< square of what a distance of one level is multiplied by, at the mean weight
  float most_multiplier = 0.0F;  ///< ... which is bounded by this
  float most_root = 0.0F;        ///< of the greatest cost of one step, in the same unit

  /// In which one step costs `usual` for each squared distance of `square`, and `most` at most.
  [[nodiscard]] static TrellisCosts of(double square, double usual, double most) noexcept;

  /// What a squared distance is multiplied by, at weight 1, where `count` weights of a lane sum up to `sum`.
  [[nodiscard]] float unit_of(float sum, Index count) const noexcept {
    return sum > 1e-30F ? unit * static_cast<float>(count) / sum : 0.0F;
  }
};

/// What a search of one rate under given tables looks up.
///
/// The *state* before a step is what the step keeps of the window before, the lowest 12 - bits of it; with the step's
/// own bits behind it, it is the step's window. So the windows that lead to one state differ in as many of their
/// highest bits as the next step has.
struct TrellisPlan {
  struct Step {
    int bits = 0;       ///< of its own
    int next_bits = 0;  ///< of the step behind it
    /// [states behind the step][2^next_bits windows that lead there, ascending] rows of the table of levels, times
    /// the bytes of a vector.
    Vector<std::uint16_t> levels;
    [[nodiscard]] std::uint32_t states_before() const noexcept { return TrellisGeometry::kStates >> bits; }
    [[nodiscard]] std::uint32_t states_behind() const noexcept { return TrellisGeometry::kStates >> next_bits; }
  };

  Vector<Step> steps;           ///< until their bits repeat
  Vector<std::int16_t> levels;  ///< those that the tables can make, ascending, in 64ths
  Index reach = 0;              ///< steps after which any state can follow any other
  TrellisCosts exact, coarse;   ///< of 16 and of 8 bits

  /// What a level (in 64ths) costs a target, with 16 bits: the definition of what the kernel does with vectors.
  [[nodiscard]] std::uint32_t cost(float target, float weight, float lane_unit, std::int16_t level) const noexcept;

  /// Where a state's cost lies. Lines of a power of two apart would share one place in the cache: a gap after every 64.
  static constexpr std::uint32_t slot(std::uint32_t state) noexcept { return state + state / 64; }
  /// Of one array of costs: a step has one bit at least.
  static constexpr Index kSlots = TrellisGeometry::kStates / 2 + TrellisGeometry::kStates / 128;

  [[nodiscard]] const Step& step(Index i) const noexcept {
    return steps[static_cast<std::size_t>(i % static_cast<Index>(steps.size()))];
  }
};

/// Viterbi's algorithm over the 4096 windows of the lane trellis: of all bit streams the one with the least sum of
/// weight * (target - level)^2. Lanes of a panel are lanes of a vector here, too, so that nothing crosses them.
///
/// Costs are whole numbers of 16 bits, in a unit of each run and lane: rounded, and bounded where a step would cost
/// 400 times what it usually does. Of equal costs the least predecessor wins. So the windows are the same for every
/// instruction set. A coarse search has 8 bits instead: states whose cost is beyond them are all alike. Immutable once
/// made; may be shared by threads.
class TrellisSearch {
 public:
  /// Steps that are kept in memory. A longer run is searched in pieces of so many, of which the last kForesight are
  /// searched again from the state that was decided.
  static constexpr Index kMostSteps = 1024, kForesight = 64;

  /// Prepares the search for these tables and rate. `limit`: see Isa.
  TrellisSearch(const TrellisTables& tables, int quarter_bits, Isa limit);

  [[nodiscard]] const TrellisPlan& plan() const noexcept { return plan_; }

  /// Decides the first `run.commit` steps: `windows` [commit][64].
  void search(const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) const;

  /// The windows of the last step of a panel of `steps` steps, whose stream is cyclic: from 32 steps on either side of
  /// the seam. `targets` and `weights` [steps][64]; `seam` [64]. `coarse`: see TrellisRun.
  void search_seam(Index steps, const float* targets, const float* weights, bool coarse, std::uint16_t* seam,
                   TrellisMemory& memory) const;

  /// A whole panel: the seam first, then all steps between. `windows` [steps][64].
  void search_panel(Index steps, const float* targets, const float* weights, bool coarse, std::uint16_t* windows,
                    TrellisMemory& memory) const;

 private:
  TrellisPlan plan_;
  Isa isa_;
};

}  // namespace sinq::inline SINQ_ABI::detail

#if SINQ_HAS_BODIES(SEARCH)
#include <sinq/detail/simd.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <type_traits>
#include <utility>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct TrellisViterbi;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/quantizers/trellis_search_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>

namespace sinq::inline SINQ_ABI::detail {

SINQ_DECL std::uint32_t TrellisPlan::cost(float target, float weight, float lane_unit,
                                          std::int16_t level) const noexcept {
  const auto& [target_shift, unit, most_multiplier, most_root] = exact;
  const float factor = std::min(std::sqrt(weight * lane_unit), most_multiplier);
  // Beyond this distance, in 64ths of a level, all are alike.
  const float far = std::min(64.0F * most_root / std::max(factor, 1e-3F), static_cast<float>(65535 >> target_shift));
  const float margin = std::min(far, 32000.0F) * 0.5F;
  const float x = std::clamp(target * 64.0F, static_cast<float>(levels.front()) - margin,
                             static_cast<float>(levels.back()) + margin);
  const float scale = 65536.0F / (64.0F * static_cast<float>(1 << target_shift));
  const auto multiplier = static_cast<std::uint32_t>(std::nearbyint(factor * scale));
  const int bound = static_cast<int>(std::nearbyint(std::min(far, 32767.0F)));
  const int distance = std::min(std::abs(static_cast<int>(std::nearbyint(x)) - level), bound);
  const std::uint32_t root = (static_cast<std::uint32_t>(distance) << target_shift) * multiplier >> 16;
  return root * root >> 16;
}

SINQ_DECL TrellisSearch::TrellisSearch(const TrellisTables& tables, int quarter_bits, Isa limit)
    : isa_(resolve(limit)) {
  constexpr int kBits = TrellisGeometry::kWindowBits;
  constexpr auto kStates = static_cast<std::uint32_t>(TrellisGeometry::kStates);
  const TrellisGeometry geometry{.quarter_bits = quarter_bits};
  const int vector_bytes = dispatch(isa_, [](auto tag) { return Simd<decltype(tag)>::kBytes; });

  // The levels that occur.
  constexpr int kLowest = -128;
  std::array<std::int16_t, 256> row{};
  double sum = 0.0, square = 0.0;
  for (std::uint32_t w = 0; w < kStates; ++w) {
    const int level = tables.level(w);
    row[static_cast<std::size_t>(level - kLowest)] = 1;
    sum += level;
    square += static_cast<double>(level * level);
  }
  for (int level = kLowest; level <= 127; ++level) {
    std::int16_t& at = row[static_cast<std::size_t>(level - kLowest)];
    if (at == 0) continue;
    at = static_cast<std::int16_t>(plan_.levels.size());
    plan_.levels.push_back(static_cast<std::int16_t>(level * 64));
  }

  const Index period = 4 / std::gcd(quarter_bits, 4);
  for (Index s = 0; s < period; ++s) {
    TrellisPlan::Step step;
    step.bits = geometry.step_bits(s);
    step.next_bits = geometry.step_bits(s + 1);
    step.levels.reserve(kStates);
    for (std::uint32_t state = 0; state < step.states_behind(); ++state) {
      for (std::uint32_t high = 0; high < std::uint32_t{1} << step.next_bits; ++high) {
        const int level = tables.level(high << (kBits - step.next_bits) | state);
        const int at = row[static_cast<std::size_t>(level - kLowest)];
        step.levels.push_back(static_cast<std::uint16_t>(at * vector_bytes));
      }
    }
    plan_.steps.push_back(std::move(step));
  }

  // From every state each other one can be reached within `reach` steps: no cost can be further above the least of so
  // many steps before. What is compared has one step more.
  for (Index s = 0; s < period; ++s) {
    Index n = 1;
    while (geometry.step_end(s + n - 1) - geometry.step_end(s - 1) < kBits - geometry.step_bits(s + n)) ++n;
    plan_.reach = std::max(plan_.reach, n);
  }
  constexpr double kRoundings = 4.0;
  const double most = 65535.0 / static_cast<double>(plan_.reach + 1) - kRoundings;
  // What a step costs at the rate-distortion bound, and a fifth more.
  const double mean = sum / kStates, variance = std::max(square / kStates - mean * mean, 1.0);
  const double usual = 1.2 * variance * std::exp2(-0.5 * quarter_bits);
  constexpr double kBound = 400.0;
  plan_.exact = TrellisCosts::of(usual, most / kBound, most);
  // With 8 bits, the greatest cost is a hundred times the usual one, and half the variance at least: a target beyond
  // all levels costs steps before it so much. With more, squares are rounded too coarsely. (Gaussian source, 2 / 3 / 4
  // bits: 0.3 to 0.4% more distortion than with 16 bits; at 64 times 0.3, 1.2 and 5.7%, at 170 times 1.0, 1.2
  // and 1.0%.)
  constexpr double kCoarseBound = 100.0, kCoarseMost = 255.0;
  const double bound = std::max(kCoarseBound, 0.5 * variance / usual);
  plan_.coarse = TrellisCosts::of(usual, kCoarseMost / bound, kCoarseMost);
}

SINQ_DECL TrellisCosts TrellisCosts::of(double square, double usual, double most) noexcept {
  constexpr double kUnsigned = 65536.0;
  const double multiplier = std::sqrt(kUnsigned * usual / square);
  const int exponent = std::max(6, static_cast<int>(std::ceil(std::log2(1.5 * multiplier))));
  return {.target_shift = exponent - 6,
          .unit = static_cast<float>(multiplier * multiplier),
          .most_multiplier = static_cast<float>(std::ldexp(65535.0 / kUnsigned, exponent)),
          .most_root = static_cast<float>(std::floor(std::sqrt(kUnsigned * most)))};
}

SINQ_DECL void TrellisSearch::search(const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) const {
  constexpr Index kLanes = TrellisRun::kLanes;
  TrellisRun rest = run;
  while (rest.commit > 0) {
    TrellisRun piece = rest;
    if (piece.steps > kMostSteps) {
      piece.steps = kMostSteps;
      piece.commit = std::min(piece.commit, kMostSteps - kForesight);
      piece.end = nullptr;
    }
    dispatch(isa_, [&](auto tag) { TrellisViterbi<decltype(tag)>::search(plan_, piece, windows, memory); });
    rest.first_step += piece.commit;
    rest.steps -= piece.commit;
    rest.commit -= piece.commit;
    rest.targets += piece.commit * kLanes;
    rest.weights += piece.commit * kLanes;
    rest.start = windows + (piece.commit - 1) * kLanes;
    windows += piece.commit * kLanes;
  }
}

SINQ_DECL void TrellisSearch::search_seam(Index steps, const float* targets, const float* weights, bool coarse,
                                          std::uint16_t* seam, TrellisMemory& memory) const {
  constexpr Index kLanes = TrellisRun::kLanes, kSide = TrellisGeometry::kBlockSteps;
  Vector<float> both(static_cast<std::size_t>(4 * kSide * kLanes));
  float* const around[2] = {both.data(), both.data() + 2 * kSide * kLanes};
  const float* const from[2] = {targets, weights};
  for (int i = 0; i < 2; ++i) {
    std::copy_n(from[i] + (steps - kSide) * kLanes, kSide * kLanes, around[i]);
    std::copy_n(from[i], kSide * kLanes, around[i] + kSide * kLanes);
  }
  Vector<std::uint16_t> windows(static_cast<std::size_t>(kSide * kLanes));
  search({.first_step = steps - kSide,
          .steps = 2 * kSide,
          .commit = kSide,
          .targets = around[0],
          .weights = around[1],
          .coarse = coarse},
         windows.data(), memory);
  std::copy_n(windows.end() - kLanes, kLanes, seam);
}

SINQ_DECL void TrellisSearch::search_panel(Index steps, const float* targets, const float* weights, bool coarse,
                                           std::uint16_t* windows, TrellisMemory& memory) const {
  std::array<std::uint16_t, static_cast<std::size_t>(TrellisRun::kLanes)> seam;
  search_seam(steps, targets, weights, coarse, seam.data(), memory);
  search({.steps = steps,
          .commit = steps,
          .targets = targets,
          .weights = weights,
          .start = seam.data(),
          .end = seam.data(),
          .coarse = coarse},
         windows, memory);
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
