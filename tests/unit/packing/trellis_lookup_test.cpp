#include <sinq/packing/trellis_lookup.hpp>

#include <gtest/gtest.h>

namespace {

using sinq::TrellisTables;
using sinq::detail::TrellisLookup;

TrellisTables tables() {
  TrellisTables out;
  for (std::size_t i = 0; i < TrellisTables::kEntries; ++i) {
    out.a[i] = static_cast<std::int8_t>(3 * i);
    out.b[i] = static_cast<std::int8_t>(-2 * static_cast<int>(i));
    out.c[i] = static_cast<std::int8_t>(i % 2 == 0 ? -30 : 30);
  }
  return out;
}

TEST(TrellisLookup, SumsOfThreeBytesAreLevels) {
  for (const int zero : {0, 128}) {
    const TrellisLookup lookup(tables(), zero);
    for (std::uint32_t window = 0; window < 4096; window += 7) {
      const std::uint32_t n0 = window & 15U, n1 = window >> 4 & 15U, n2 = window >> 8, m = window >> 2 & 15U;
      const int sum = lookup.bytes()[n0 ^ n2] + lookup.bytes()[16 + (m ^ n2)] + lookup.bytes()[32 + (n0 ^ n1 ^ n2)];
      const auto expected = static_cast<std::uint8_t>(tables().level(window) + zero);
      ASSERT_EQ(static_cast<std::uint8_t>(sum), expected) << window;
      ASSERT_EQ(lookup.level(window), expected) << window;
    }
  }
}

}  // namespace
