#include <sinq/quantizers/nf4.hpp>

#include "support/reference.hpp"

#include <gtest/gtest.h>

namespace {

// FORMAT.md section 3.
TEST(Nf4, IsTheReferencesTable) {
  const auto levels = sinq::codebooks::kNf4.levels();
  const auto& expected = sinq::test::reference::nf4_levels();
  ASSERT_EQ(levels.size(), expected.size());
  for (std::size_t i = 0; i < levels.size(); ++i) EXPECT_EQ(levels[i], static_cast<float>(expected[i])) << i;
  EXPECT_NO_THROW(sinq::codebooks::kNf4.validate());
  EXPECT_EQ(sinq::codebooks::kNf4.bits(), 4);
  EXPECT_EQ(sinq::codebooks::kNf4.symmetry, sinq::Symmetry::kAsymmetric);
}

}  // namespace
