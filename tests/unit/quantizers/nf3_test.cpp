#include <sinq/quantizers/nf3.hpp>

#include "support/reference.hpp"

#include <gtest/gtest.h>

namespace {

// FORMAT.md section 3.
TEST(Nf3, IsTheReferencesTable) {
  const auto levels = sinq::codebooks::kNf3.levels();
  const auto& expected = sinq::test::reference::nf3_levels();
  ASSERT_EQ(levels.size(), expected.size());
  for (std::size_t i = 0; i < levels.size(); ++i) EXPECT_EQ(levels[i], static_cast<float>(expected[i])) << i;
  EXPECT_NO_THROW(sinq::codebooks::kNf3.validate());
  EXPECT_EQ(sinq::codebooks::kNf3.bits(), 3);
  EXPECT_EQ(sinq::codebooks::kNf3.symmetry, sinq::Symmetry::kAsymmetric);
}

}  // namespace
