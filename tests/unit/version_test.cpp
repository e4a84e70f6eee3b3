#include <sinq/version.hpp>

#include <gtest/gtest.h>

namespace {

TEST(Version, IsThreeNumbers) {
  EXPECT_GE(SINQ_VERSION_MAJOR, 0);
  EXPECT_GE(SINQ_VERSION_MINOR, 0);
  EXPECT_GE(SINQ_VERSION_PATCH, 0);
}

}  // namespace
