#pragma once

#include <sinq/types.hpp>

#include <cstdint>
#include <functional>

namespace sinq::inline SINQ_ABI {

/// What a progress callback answers.
enum class ProgressAction : std::uint8_t { kContinue, kCancel };

/// Called after each task (a tile or a few neighbours, or a panel of 128 rows) with tasks done and in all, by whichever
/// thread finished it, one call at a time.
using ProgressCallback = std::function<ProgressAction(Index done, Index total)>;

}  // namespace sinq::inline SINQ_ABI
