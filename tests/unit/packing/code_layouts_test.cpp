#include <sinq/packing/code_layouts.hpp>

#include <gtest/gtest.h>

#include <type_traits>

namespace {

using sinq::Layout;
using sinq::detail::with_codes;

template <class Codes>
bool holds_as(const Layout& layout) {
  return with_codes(layout, [](const auto& codes) { return std::is_same_v<std::decay_t<decltype(codes)>, Codes>; });
}

TEST(CodeLayouts, EveryLayoutHasOne) {
  EXPECT_TRUE(holds_as<sinq::detail::ScalarCodes>({}));
  EXPECT_TRUE(holds_as<sinq::detail::ScalarCodes>({.bits = 3, .level_count = 8}));
  EXPECT_TRUE(holds_as<sinq::detail::TrellisCodes>({.bits = 0, .quarter_bits = 10, .level_count = 48}));
}

TEST(CodeLayouts, TablesAreOfFloatsOrBytes) {
  EXPECT_EQ(sinq::detail::level_type({}), sinq::detail::LevelType::kF32);
  EXPECT_EQ(sinq::detail::level_type({.quarter_bits = 10}), sinq::detail::LevelType::kI8);
}

}  // namespace
