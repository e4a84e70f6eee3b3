#pragma once

#include <sinq/abi.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// How weights are divided by a group's scale before rounding.
enum class Division : std::uint8_t {
  kReciprocal,  ///< times 1 / scale: a tie may fall to either side
  kExact,       ///< as the reference divides
};

}  // namespace sinq::inline SINQ_ABI
