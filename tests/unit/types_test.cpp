#include <sinq/types.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

namespace {

using sinq::ceil_div;
using sinq::Index;
using sinq::round_up;
using sinq::ScalarType;

static_assert(std::is_same_v<Index, std::ptrdiff_t>);
static_assert(sinq::RowRange{3, 7}.size() == 4 && sinq::ColRange{0, 0}.size() == 0);
static_assert(sinq::RowRange{3, 7} == sinq::RowRange{3, 7} && !(sinq::RowRange{3, 7} == sinq::RowRange{3, 8}));
static_assert(scalar_bytes(ScalarType::kF64) == sizeof(double) && scalar_bytes(ScalarType::kF32) == sizeof(float));
static_assert(scalar_bytes(ScalarType::kF16) == 2 && scalar_bytes(ScalarType::kBf16) == 2);

TEST(Types, CeilDivIsTheLeastCountThatCovers) {
  for (Index b = 1; b < 20; ++b) {
    for (Index a = 0; a < 100; ++a) {
      const Index n = ceil_div(a, b);
      EXPECT_GE(n * b, a);
      EXPECT_LT((n - 1) * b, a);
      EXPECT_EQ(round_up(a, b), n * b);
    }
  }
}

}  // namespace
