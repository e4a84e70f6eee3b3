#pragma once

#include <sinq/packing/scalar_codes.hpp>
#include <sinq/packing/trellis_codes.hpp>

#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// Calls f(codes) with the layout of codes that `layout` has, once for whatever f does: for a block, not for a code.
/// This is the list of them; a new one is a header, its test and a line here.
template <class F>
constexpr decltype(auto) with_codes(const Layout& layout, F f) {
  if (TrellisCodes::holds(layout)) return f(TrellisCodes(layout));
  return f(ScalarCodes(layout));
}

/// What the layout's table of levels is made of.
[[nodiscard]] constexpr LevelType level_type(const Layout& layout) noexcept {
  return with_codes(layout, [](const auto& codes) { return codes.kLevelType; });
}

}  // namespace sinq::inline SINQ_ABI::detail
