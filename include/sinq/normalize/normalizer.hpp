#pragma once

#include <sinq/error.hpp>
#include <sinq/isa.hpp>
#include <sinq/tile.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// What a normalizer did to one tile.
enum class TileOutcome : std::uint8_t {
  kBalanced,   ///< the dual scale was applied
  kUntouched,  ///< fewer than two rows or columns, or nothing but constants: identity
  kRefused,    ///< a large common offset or a constant column: the dual scale would cost more than it gains, identity
};

/// The normalizer's account of one tile. Imbalance is eq. 5 of the paper: max / min of all row and column std.
struct BalanceReport {
  float imbalance_before = 1.0F;
  float imbalance_after = 1.0F;
  int passes = 0;          ///< evaluations of all standard deviations
  int best_iteration = 0;  ///< of the scales that were kept; 0 = unscaled, -1 = none ever qualified
  Index left_out = 0;      ///< nearly constant rows and columns that had no say
  TileOutcome outcome = TileOutcome::kUntouched;
};

/// Whether a normalizer produces column scales that must be stored.
enum class ColScaleUse : std::uint8_t { kUnused, kUsed };

/// Factors of a tile, w[r,c] = normalized[r,c] * row[r] * col[c], in memory of the caller.
struct DualScaleSpan {
  float* row = nullptr;  ///< [rows]
  float* col = nullptr;  ///< [cols]
};

/// Finds the dual scale of a tile. A model checks its own fields in `validate` (throwing Errc::kBadConfig), does not
/// change the tile, and is deterministic.
template <class N>
concept Normalizer = std::copyable<N> &&
    requires(const N& n, const TileView& tile, DualScaleSpan scales, Scratch& scratch, Isa limit) {
  {n.validate()};
  { n.balance(tile, scales, scratch, limit) } -> std::same_as<BalanceReport>;
  { N::kColScale } -> std::convertible_to<ColScaleUse>;
};

}  // namespace sinq::inline SINQ_ABI
