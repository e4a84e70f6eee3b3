#pragma once

#include <sinq/abi.hpp>

#include <algorithm>
#include <cstddef>

namespace sinq::inline SINQ_ABI::detail {

/// What is at index n of values [count] in ascending order; reorders them. Compiled once for all containers; the order
/// has a name of this namespace, and so do the functions that come of it (see abi.hpp).
template <class Number>
[[nodiscard]] Number nth_smallest(Number* values, std::size_t count, std::size_t n) {
  struct Ascending {
    bool operator()(Number a, Number b) const noexcept { return a < b; }
  };
  std::nth_element(values, values + n, values + count, Ascending{});
  return values[n];
}

}  // namespace sinq::inline SINQ_ABI::detail
