#include <sinq/tile.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace {

using sinq::Index;
using sinq::Scratch;
using sinq::TileView;

TEST(TileViewTest, RowSlicesKeepEverythingButTheRows) {
  float memory[4 * 16] = {};
  const float weights[3] = {1.0F, 2.0F, 3.0F};
  const TileView tile{
      .data = memory, .rows = 4, .cols = 3, .stride = 16, .unit = 0.5F, .steps = 7.0F, .col_weights = weights};
  const TileView part = tile.row_slice({1, 3});
  EXPECT_EQ(part.data, memory + 16);
  EXPECT_EQ(part.row(1), memory + 32);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 3);
  EXPECT_EQ(part.stride, 16);
  EXPECT_EQ(part.unit, 0.5F);
  EXPECT_EQ(part.steps, 7.0F);
  EXPECT_EQ(part.col_weights, weights);
  EXPECT_EQ(part.moments, nullptr) << "moments of the whole tile say nothing about some of its rows";
}

TEST(ScratchTest, GivesAlignedMemoryOfAnySize) {
  Scratch scratch;
  for (const Index count : {1, 15, 16, 17, 1000, 10, 100000}) {
    float* memory = scratch.floats(count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0U);
    for (Index i = 0; i < count; ++i) memory[i] = 1.0F;  // a sanitizer sees what is beyond
  }
}

TEST(ScratchTest, ReusesItsMemory) {
  Scratch scratch;
  float* first = scratch.floats(1000);
  EXPECT_EQ(scratch.floats(10), first);
  EXPECT_EQ(scratch.floats(1000), first);
}

}  // namespace
