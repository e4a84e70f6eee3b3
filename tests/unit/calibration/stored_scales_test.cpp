#include <sinq/calibration/stored_scales.hpp>

#include "support/generators.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Index;
using sinq::kAuxBlockRows;
using sinq::Layout;
using sinq::QuantizedMatrix;
using sinq::RowRange;
using sinq::detail::StoredScales;

constexpr Index kRows = 150;
constexpr AuxFormat kFormats[] = {AuxFormat::kF32, AuxFormat::kF16, AuxFormat::kU8, AuxFormat::kU6};

Layout layout_of(AuxFormat aux, Index row_block = kRows) {
  return {.rows = kRows, .cols = 96, .group_size = 32, .row_block = row_block, .aux = aux};
}

std::vector<float> read(const QuantizedMatrix& q, Index group) {
  std::vector<float> out(kRows);
  q.view().group_scales(group, {0, kRows}, out.data());
  return out;
}

/// A matrix with random scales.
QuantizedMatrix matrix_of(AuxFormat aux, std::uint64_t seed) {
  QuantizedMatrix q(layout_of(aux));
  const StoredScales scales(q);
  sinq::test::Random random(seed);
  for (Index g = 0; g < 3; ++g) {
    for (Index r = 0; r < kRows; r += kAuxBlockRows) {
      float values[kAuxBlockRows] = {};
      for (float& x : values) x = static_cast<float>(0.1 * std::exp(0.3 * random.gaussian()));
      scales.store(g, {r, std::min(r + kAuxBlockRows, kRows)}, values, sinq::Isa::kBest);
    }
  }
  return q;
}

TEST(StoredScalesTest, StoresWhatAReaderSees) {
  for (const AuxFormat aux : kFormats) {
    QuantizedMatrix q = matrix_of(aux, 1);
    const std::vector<float> before = read(q, 0), last = read(q, 2);
    float values[kAuxBlockRows];
    for (Index r = 0; r < kAuxBlockRows; ++r) values[r] = 0.01F * static_cast<float>(1 + r % 7);
    StoredScales(q).store(1, {64, 128}, values, sinq::Isa::kBest);
    const std::vector<float> after = read(q, 1);
    for (Index r = 0; r < kAuxBlockRows; ++r) {
      EXPECT_NEAR(after[static_cast<std::size_t>(64 + r)], values[r], 1e-6F * values[r]);
      EXPECT_NEAR(values[r], 0.01F * static_cast<float>(1 + r % 7), 0.025F * values[r]);
    }
    EXPECT_EQ(read(q, 0), before);
    EXPECT_EQ(read(q, 2), last);
  }
}

TEST(StoredScalesTest, NearestIsOneThatCanBeStored) {
  for (const AuxFormat aux : kFormats) {
    QuantizedMatrix q = matrix_of(aux, 2);
    const StoredScales scales(q);
    std::vector<float> expected = read(q, 1);
    for (const Index row : {0, 63, 64, 149}) {
      const float old = expected[static_cast<std::size_t>(row)];
      EXPECT_FLOAT_EQ(scales.nearest(1, row, static_cast<double>(old), 7.0F), old);
      for (const double wanted : {1.03 * static_cast<double>(old), 0.9 * static_cast<double>(old)}) {
        const float x = scales.nearest(1, row, wanted, 7.0F);
        const RowRange rows{row / kAuxBlockRows * kAuxBlockRows,
                            std::min((row / kAuxBlockRows + 1) * kAuxBlockRows, kRows)};
        float values[kAuxBlockRows] = {};
        expected[static_cast<std::size_t>(row)] = x;
        std::copy(expected.begin() + rows.begin, expected.begin() + rows.end, values);
        scales.put(1, rows, values, sinq::Isa::kBest);
        const std::vector<float> after = read(q, 1);
        for (Index r = 0; r < kRows; ++r) {
          EXPECT_FLOAT_EQ(after[static_cast<std::size_t>(r)], expected[static_cast<std::size_t>(r)]) << r;
        }
      }
    }
    for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), 1e300}) {
      EXPECT_EQ(scales.nearest(1, 3, bad, 7.0F), 7.0F) << bad;
    }
    if (aux == AuxFormat::kF16) {
      EXPECT_EQ(scales.nearest(1, 3, 1e6, 7.0F), 7.0F);
    }
  }
}

// All rows of a block in one step of the grid.
TEST(StoredScalesTest, EqualScalesHaveNoStep) {
  QuantizedMatrix q(layout_of(AuxFormat::kU6));
  const StoredScales scales(q);
  float values[kAuxBlockRows];
  std::fill_n(values, kAuxBlockRows, 0.25F);
  scales.store(0, {0, 64}, values, sinq::Isa::kBest);
  EXPECT_EQ(scales.nearest(0, 5, 0.3, 7.0F), 0.25F);
}

TEST(StoredScalesTest, FollowWhereAuxBlocksAreWhole) {
  const auto can_follow = [](AuxFormat aux, Index row_block) {
    QuantizedMatrix q(layout_of(aux, row_block));
    return StoredScales(q).can_follow();
  };
  EXPECT_TRUE(can_follow(AuxFormat::kF16, 24));
  EXPECT_FALSE(can_follow(AuxFormat::kU8, 24));
  EXPECT_FALSE(can_follow(AuxFormat::kU6, 96));
  EXPECT_TRUE(can_follow(AuxFormat::kU6, 64));
  EXPECT_TRUE(can_follow(AuxFormat::kU8, kRows));
}

}  // namespace
