#include "hand_made_block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sinq::test {
namespace {

using testing::ElementsAreArray;

// binary16: 0.5 = 3800, 1 = 3c00, -2 = c000; low byte first.

TEST(SmallBlocks, Q8_0) {
  const auto block = HandMadeBlock(BlockFormat::kQ8_0).put(0, {0x00, 0x38}).put(2, {1, 0xff, 127, 0x80}).put(33, {4});
  EXPECT_THAT(block.decoded(), ElementsAreArray(weights(BlockFormat::kQ8_0, 0.0F,
                                                        {{0, 0.5F}, {1, -0.5F}, {2, 63.5F}, {3, -64.0F}, {31, 2.0F}})));
}

TEST(SmallBlocks, Q4_0HasItsSecondHalfInTheHighBits) {
  const auto block =
      HandMadeBlock(BlockFormat::kQ4_0).put(0, {0x00, 0x38}).fill(2, 18, 0x88).put(2, {0xf0}).put(17, {0x9a});
  EXPECT_THAT(block.decoded(),
              ElementsAreArray(weights(BlockFormat::kQ4_0, 0.0F, {{0, -4.0F}, {16, 3.5F}, {15, 1.0F}, {31, 0.5F}})));
}

TEST(SmallBlocks, Q4_1AddsItsOffset) {
  const auto block = HandMadeBlock(BlockFormat::kQ4_1).put(0, {0x00, 0x38, 0x00, 0xc0}).put(4, {0x21}).put(19, {0xf0});
  EXPECT_THAT(block.decoded(),
              ElementsAreArray(weights(BlockFormat::kQ4_1, -2.0F, {{0, -1.5F}, {16, -1.0F}, {31, 5.5F}})));
}

TEST(SmallBlocks, Q5_0HasItsFifthBitsInOrder) {
  // Fifth bits of weights 0, 9, 16 and 31: codes 16 = 0, unless low bits say more.
  const auto block = HandMadeBlock(BlockFormat::kQ5_0)
                         .put(0, {0x00, 0x3c})
                         .put(2, {0x01, 0x02, 0x01, 0x80})
                         .put(6, {0x03})
                         .put(21, {0xf0});
  EXPECT_THAT(block.decoded(),
              ElementsAreArray(weights(BlockFormat::kQ5_0, -16.0F, {{0, 3.0F}, {9, 0.0F}, {16, 0.0F}, {31, 15.0F}})));
}

TEST(SmallBlocks, Q5_1) {
  const auto block = HandMadeBlock(BlockFormat::kQ5_1)
                         .put(0, {0x00, 0x38, 0x00, 0x3c})
                         .put(4, {0x02, 0x00, 0x00, 0x80})
                         .put(8, {0x01})
                         .put(23, {0xf0});
  EXPECT_THAT(block.decoded(),
              ElementsAreArray(weights(BlockFormat::kQ5_1, 1.0F, {{0, 1.5F}, {1, 9.0F}, {31, 16.5F}})));
}

}  // namespace
}  // namespace sinq::test
