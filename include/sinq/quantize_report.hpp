#pragma once

#include <sinq/isa.hpp>
#include <sinq/types.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// Whether the kurtosis gate replaced the method by plain round-to-nearest.
enum class GateOutcome : std::uint8_t { kPassed, kFired };

/// What happened inside one `quantize`: nothing is decided unseen.
struct QuantizeReport {
  Isa isa = Isa::kPortable;  ///< what ran
  GateOutcome gate = GateOutcome::kPassed;
  Index tiles = 0;
  Index tiles_untouched = 0;  ///< too small or constant: identity
  Index tiles_refused = 0;    ///< offset or constant column: identity
  Index left_out = 0;         ///< nearly constant rows and columns without a say, over all tiles
  Index passes = 0;           ///< normalizer passes over all tiles
  /// Tiles with a few rows more than 8 times what the others are (rms): what is relative follows the others.
  Index outlier_tiles = 0;
  /// Weights beyond 2^56 times the rest, brought to that; and group scales beyond f16, brought to its end because one
  /// matrix_scale for them and for the rest would have cost the rest its precision. Their own rows pay.
  Index clipped_weights = 0;
  Index clipped_groups = 0;
  double imbalance_before = 1.0;  ///< means over the tiles (paper eq. 5)
  double imbalance_after = 1.0;
};

}  // namespace sinq::inline SINQ_ABI
