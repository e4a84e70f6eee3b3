#pragma once

#include <sinq/detail/vector.hpp>

#include <map>
#include <utility>

namespace sinq::inline SINQ_ABI::detail {

/// As `Vector`, a map whose functions have names of this namespace.
template <class Key, class Value>
using Map = std::map<Key, Value, std::less<>, Allocator<std::pair<const Key, Value>>>;

}  // namespace sinq::inline SINQ_ABI::detail
