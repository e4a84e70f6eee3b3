#include "hand_made_block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sinq::test {
namespace {

using testing::ElementsAreArray;

// binary16: 0.5 = 3800, 1 = 3c00, 2 = 4000; low byte first. Sub-block j has a scale of its own, so that a weight in the
// wrong place shows.

/// levels[e] * steps[e / sub_size] - mins[e / sub_size].
std::vector<float> scaled(std::vector<float> levels, const std::vector<float>& steps, const std::vector<float>& mins) {
  const std::size_t sub_size = levels.size() / steps.size();
  for (std::size_t e = 0; e < levels.size(); ++e) levels[e] = levels[e] * steps[e / sub_size] - mins[e / sub_size];
  return levels;
}

TEST(KBlocks, Q2KHasFourStridesOf32PerByte) {
  HandMadeBlock block(BlockFormat::kQ2K);
  std::vector<float> steps(16), mins(16);
  for (std::size_t j = 0; j < 16; ++j) {
    block.put(j, {static_cast<int>(j | ((15 - j) << 4))});
    steps[j] = 0.5F * static_cast<float>(j);
    mins[j] = 2.0F * static_cast<float>(15 - j);
  }
  block.put(16, {0xe4}).put(16 + 31, {0x1b}).put(16 + 32 + 17, {0xc0}).put(80, {0x00, 0x38, 0x00, 0x40});
  const auto levels = weights(BlockFormat::kQ2K, 0.0F,
                              {{0, 0.0F},
                               {32, 1.0F},
                               {64, 2.0F},
                               {96, 3.0F},
                               {31, 3.0F},
                               {63, 2.0F},
                               {95, 1.0F},
                               {127, 0.0F},
                               {128 + 96 + 17, 3.0F}});
  EXPECT_THAT(block.decoded(), ElementsAreArray(scaled(levels, steps, mins)));
}

TEST(KBlocks, Q3KHasTheThirdBitsOf32StridesInOneByte) {
  HandMadeBlock block(BlockFormat::kQ3K);
  // Scale codes 32 + value: sub-block 0: 33 = 0x21, 5: 34 = 0x22, 8: 31 = 0x1f, 15: 63 = 0x3f; the others 32 = 0x20.
  block.put(96, {0xf1, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0xf0});
  block.put(104, {0x02 | 0x02 << 2 | 0x01 << 4 | 0x02 << 6,    // sub-blocks 0, 4, 8, 12
                  0xaa,                                        // 1, 5, 9, 13
                  0xaa,                                        // 2, 6, 10, 14
                  0x02 | 0x02 << 2 | 0x02 << 4 | 0x03 << 6});  // 3, 7, 11, 15
  block.put(108, {0x00, 0x38});
  std::vector<float> steps(16, 0.0F);
  steps[0] = 0.5F;
  steps[5] = 1.0F;
  steps[8] = -0.5F;
  steps[15] = 15.5F;
  block.put(0, {0x11}).put(31, {0x80});  // third bits of 0 and 128, and of 255
  block.put(32, {0x03}).put(32 + 16, {0x20}).put(32 + 32, {0x01}).put(32 + 63, {0xc0});
  const auto levels = weights(BlockFormat::kQ3K, -4.0F,
                              {{0, 3.0F},         // low bits 3, third bit set
                               {64 + 16, -2.0F},  // sub-block 5: low bits 2
                               {128, 1.0F},       // sub-block 8: low bits 1, third bit set
                               {255, 3.0F}});
  EXPECT_THAT(block.decoded(), ElementsAreArray(scaled(levels, steps, std::vector<float>(16, 0.0F))));
}

/// Scales 1, 2, 3, 20, 33, 47, 50, 63 and minima 63, 5, 4, 3, 2, 18, 0, 34 in 12 bytes.
const std::vector<float> kSteps{0.5F, 1.0F, 1.5F, 10.0F, 16.5F, 23.5F, 25.0F, 31.5F};
const std::vector<float> kMins{126.0F, 10.0F, 8.0F, 6.0F, 4.0F, 36.0F, 0.0F, 68.0F};
void put_scales(HandMadeBlock& block) {
  block.put(0, {0x00, 0x38, 0x00, 0x40});
  block.put(4, {1 | 2 << 6, 2 | 2 << 6, 3 | 3 << 6, 20 | 3 << 6});    // high bits of 33, 47, 50, 63
  block.put(8, {63 | 0 << 6, 5 | 1 << 6, 4 | 0 << 6, 3 | 2 << 6});    // high bits of 2, 18, 0, 34
  block.put(12, {1 | 2 << 4, 15 | 2 << 4, 2 | 0 << 4, 15 | 2 << 4});  // low bits of both
}

TEST(KBlocks, Q4KHasNeighbouringSubBlocksInOneByte) {
  HandMadeBlock block(BlockFormat::kQ4K);
  put_scales(block);
  block.put(16, {0x21}).put(16 + 31, {0xf0}).put(16 + 127, {0x43});
  const auto levels =
      weights(BlockFormat::kQ4K, 0.0F, {{0, 1.0F}, {32, 2.0F}, {63, 15.0F}, {192 + 31, 3.0F}, {255, 4.0F}});
  EXPECT_THAT(block.decoded(), ElementsAreArray(scaled(levels, kSteps, kMins)));
}

TEST(KBlocks, Q5KHasAFifthBitPerSubBlockInEachByte) {
  HandMadeBlock block(BlockFormat::kQ5K);
  put_scales(block);
  block.put(16, {0x03}).put(16 + 31, {0x80});
  block.put(48, {0x21}).put(48 + 127, {0x43});
  const auto levels = weights(BlockFormat::kQ5K, 0.0F, {{0, 17.0F}, {32, 18.0F}, {192 + 31, 3.0F}, {255, 20.0F}});
  EXPECT_THAT(block.decoded(), ElementsAreArray(scaled(levels, kSteps, kMins)));
}

TEST(KBlocks, Q6KHasItsLowBitsInStridesOf64AndItsHighBitsInStridesOf32) {
  HandMadeBlock block(BlockFormat::kQ6K);
  std::vector<float> steps(16);
  for (std::size_t j = 0; j < 16; ++j) {
    block.put(192 + j, {static_cast<int>((j * 17 - 128) & 255)});
    steps[j] = 0.5F * (static_cast<float>(j) * 17.0F - 128.0F);
  }
  block.put(208, {0x00, 0x38});
  block.put(0, {0x21}).put(63, {0xf0}).put(64 + 5, {0x70});
  block.put(128, {0xe4}).put(128 + 31, {0xc0}).put(160 + 5, {0x30});
  const auto levels = weights(BlockFormat::kQ6K, -32.0F,
                              {{0, -31.0F},              // 1
                               {32, -16.0F},             // 16
                               {64, 2.0F},               // 2 + 2 * 16
                               {96, 16.0F},              // 3 * 16
                               {127, 31.0F},             // 15 + 3 * 16
                               {128 + 64 + 5, 23.0F}});  // 7 + 3 * 16
  EXPECT_THAT(block.decoded(), ElementsAreArray(scaled(levels, steps, std::vector<float>(16, 0.0F))));
}

}  // namespace
}  // namespace sinq::test
