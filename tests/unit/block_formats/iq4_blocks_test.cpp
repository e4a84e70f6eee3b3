#include "hand_made_block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sinq::test {
namespace {

using testing::ElementsAreArray;

TEST(Iq4Blocks, MidpointsLieBetweenTheLevels) {
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(detail::kIq4Midpoints[i], 0.5F * (detail::kIq4Levels[i] + detail::kIq4Levels[i + 1]));
  }
}

TEST(Iq4Blocks, Iq4NlLooksLevelsUp) {
  // Code 8 is level 1, 0 is -127, 15 is 113, 11 is 38.
  const auto block =
      HandMadeBlock(BlockFormat::kIq4Nl).put(0, {0x00, 0x38}).fill(2, 18, 0x88).put(2, {0xf0}).put(17, {0xbb});
  EXPECT_THAT(block.decoded(), ElementsAreArray(weights(BlockFormat::kIq4Nl, 0.5F,
                                                        {{0, -63.5F}, {16, 56.5F}, {15, 19.0F}, {31, 19.0F}})));
}

TEST(Iq4Blocks, Iq4XsHasASixBitScalePerSubBlock) {
  // Scale codes 33, 2, 0, 63 and then 32 (zero); binary16 0.5.
  const auto block = HandMadeBlock(BlockFormat::kIq4Xs)
                         .put(0, {0x00, 0x38})
                         .put(2, {2 | 0 << 2 | 0 << 4 | 3 << 6, 0xaa})
                         .put(4, {1 | 2 << 4, 0 | 15 << 4, 0, 0})
                         .fill(8, 136, 0x88)
                         .put(8, {0xf0})
                         .put(8 + 16 + 1, {0xb9})
                         .put(8 + 63, {0x07});
  std::vector<float> expected(256, 0.0F);
  const float steps[] = {0.5F, -15.0F, -16.0F, 15.5F};
  for (std::size_t e = 0; e < 128; ++e) expected[e] = steps[e / 32];  // level 1
  expected[0] = -127 * steps[0];
  expected[16] = 113 * steps[0];
  expected[32 + 1] = 13 * steps[1];
  expected[32 + 17] = 38 * steps[1];
  expected[96 + 15] = -10 * steps[3];
  expected[96 + 31] = -127 * steps[3];
  EXPECT_THAT(block.decoded(), ElementsAreArray(expected));
}

}  // namespace
}  // namespace sinq::test
