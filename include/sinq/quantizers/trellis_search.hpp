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
  Index steps = 0;                 ///< at least 8: as many as fill a window at every rate
  Index commit = 0;                ///< the first so many are decided, the others behind them only lend foresight
  const float* targets = nullptr;  ///< [steps][64] in units of one level; finite
  const float* weights = nullptr;  ///< [steps][64] of squared errors, in any unit; not negative, zero for padding
  /// [64] windows of the step before the first; null: the bits in front of the run are free, too.
  const std::uint16_t* start = nullptr;
  /// [64] windows that the last step shall have, but for the bits that the step behind it no longer sees; null: free.
  /// Counts only if all steps are committed.
  const std::uint16_t* end = nullptr;
};

/// Working memory of one thread: at most `TrellisSearch::kMostBytes`, however long a run is.
struct TrellisMemory {
  Vector<std::int16_t> costs;     ///< [4096 and gaps][lanes of a vector]
  Vector<std::int16_t> levels;    ///< what a step's levels cost [levels][lanes of a vector]
  Vector<std::uint16_t> choices;  ///< [steps][words][lanes of a vector]
};

/// Viterbi's algorithm over the 4096 windows of the lane trellis: of all bit streams the one with the least sum of
/// weight * (target - level)^2. Lanes of a panel are lanes of a vector here, too, so that nothing crosses them.
///
/// Costs are whole numbers of 16 bits, in a unit of each run and lane: rounded, and bounded where a step would cost
/// some thirty times what it usually does. Of equal costs the least predecessor wins. So the windows are the same for
/// every instruction set. Immutable once made; may be shared by threads.
class TrellisSearch {
 public:
  /// Prepares the search for these tables and rate. `limit`: see Isa.
  TrellisSearch(const TrellisTables& tables, int quarter_bits, Isa limit);

  /// Decides the first `run.commit` steps: `windows` [commit][64].
  void search(const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) const;

  /// The windows of the last step of a panel of `steps` steps, whose stream is cyclic: from 32 steps on either side of
  /// the seam. `targets` and `weights` [steps][64]; `seam` [64].
  void search_seam(Index steps, const float* targets, const float* weights, std::uint16_t* seam,
                   TrellisMemory& memory) const;

  /// A whole panel: the seam first, then all steps between. `windows` [steps][64].
  void search_panel(Index steps, const float* targets, const float* weights, std::uint16_t* windows,
                    TrellisMemory& memory) const;
};

}  // namespace sinq::inline SINQ_ABI::detail
