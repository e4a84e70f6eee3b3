#pragma once

#include <sinq/packing/lane_trellis.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Tables for a Gaussian source at a rate in quarters of a bit.
[[nodiscard]] constexpr TrellisTables start_tables(int) noexcept {
  return {{-42, 30, -23, 17, 13, -9, -5, 2, -2, 5, 9, -13, -17, 23, -30, 42},
          {42, 30, -23, -17, 13, -9, 5, 2, -2, -5, 9, -13, 17, 23, -30, -42},
          {-42, 23, -23, 17, -13, -9, 5, 2, -2, 5, 9, 13, -17, 30, -30, 42}};
}

}  // namespace sinq::inline SINQ_ABI::detail
