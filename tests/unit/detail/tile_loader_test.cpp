#include <sinq/detail/tile_loader.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using sinq::Index;
using sinq::InputRounding;
using sinq::Isa;
using sinq::MatrixView;
using sinq::ScalarType;
using sinq::detail::LoadedTile;
using sinq::test::TestMatrix;

/// A rectangle of the view, loaded to padded memory.
struct Loaded {
  std::vector<float> values;  ///< [rows][stride]
  bool is_finite = false;
  double mean_square = 0.0;
  Index stride = 0;
  bool within_bounds = false;
};

Loaded load(const MatrixView& w, Index row, Index col, Index rows, Index cols, float factor, Isa isa,
            InputRounding rounding = InputRounding::kNone) {
  Loaded out;
  out.stride = sinq::round_up(cols, sinq::kTileStride);
  sinq::test::GuardedFloats memory(rows * out.stride);
  sinq::Scratch scratch = sinq::test::dirty_scratch();
  LoadedTile tile({.data = memory.data(), .rows = rows, .cols = cols, .stride = out.stride}, scratch);
  out.is_finite = tile.load(w, row, col, factor, rounding, isa);
  out.mean_square = tile.mean_square();
  out.values = memory.values();
  out.within_bounds = memory.intact();
  return out;
}

/// The same matrix in every type and layout that a view can describe.
struct Sources {
  explicit Sources(const TestMatrix& w) : floats(w) {
    for (Index c = 0; c < w.cols; ++c) {
      for (Index r = 0; r < w.rows; ++r) column_major.push_back(w(r, c));
    }
    for (const float x : w.values) {
      doubles.push_back(static_cast<double>(x));
      halves.push_back(sinq::float_to_half(x));
      brains.push_back(sinq::float_to_bfloat16(x));
    }
  }
  [[nodiscard]] std::vector<MatrixView> views() const {
    const Index rows = floats.rows, cols = floats.cols;
    return {MatrixView::row_major(floats.values.data(), rows, cols),
            {.rows = rows, .cols = cols, .data = column_major.data(), .row_stride = 1, .col_stride = rows},
            MatrixView::row_major(doubles.data(), ScalarType::kF64, rows, cols),
            MatrixView::row_major(halves.data(), ScalarType::kF16, rows, cols),
            MatrixView::row_major(brains.data(), ScalarType::kBf16, rows, cols)};
  }
  TestMatrix floats;
  std::vector<float> column_major;
  std::vector<double> doubles;
  std::vector<std::uint16_t> halves, brains;
};

// Values that bfloat16, the narrowest, holds exactly.
TestMatrix exact_matrix(Index rows, Index cols) {
  TestMatrix w = sinq::test::generators::gaussian(rows, cols, 1);
  for (float& x : w.values)
    x = sinq::bfloat16_to_float(sinq::float_to_bfloat16(sinq::half_to_float(sinq::float_to_half(x * 64))));
  return w;
}

TEST(TileLoader, ReadsEveryTypeAndLayoutScaledAndPadded) {
  const Sources sources(exact_matrix(37, 75));
  for (const Isa isa : sinq::test::supported_isas()) {
    for (const MatrixView& view : sources.views()) {
      for (const auto& [row, col, rows, cols] :
           {sinq::detail::TileRect{0, 0, 37, 75}, {3, 7, 20, 16}, {36, 74, 1, 1}, {0, 60, 37, 15}, {5, 0, 1, 33}}) {
        const Loaded tile = load(view, row, col, rows, cols, 0.25F, isa);
        EXPECT_TRUE(tile.within_bounds);
        double squares = 0.0;
        for (Index r = 0; r < rows; ++r) {
          for (Index c = 0; c < tile.stride; ++c) {
            const float expected = c < cols ? 0.25F * sources.floats(row + r, col + c) : 0.0F;
            squares += static_cast<double>(expected) * static_cast<double>(expected);
            ASSERT_EQ(tile.values[static_cast<std::size_t>(r * tile.stride + c)], expected) << name(isa);
          }
        }
        // Sums of a row in float: a rounding per vector.
        EXPECT_NEAR(tile.mean_square, squares / static_cast<double>(rows * cols), 1e-6 * squares);
      }
    }
  }
}

TEST(TileLoader, RoundsToHalfFirst) {
  const TestMatrix w = sinq::test::generators::gaussian(20, 30, 2);
  for (const Isa isa : sinq::test::supported_isas()) {
    const Loaded tile =
        load(MatrixView::row_major(w.values.data(), 20, 30), 0, 0, 20, 30, 64.0F, isa, InputRounding::kF16);
    for (Index r = 0; r < 20; ++r) {
      for (Index c = 0; c < 30; ++c) {
        ASSERT_EQ(tile.values[static_cast<std::size_t>(r * tile.stride + c)],
                  64.0F * sinq::half_to_float(sinq::float_to_half(w(r, c))));
      }
    }
  }
}

TEST(TileLoader, NotFiniteIsNotFinite) {
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    for (const auto& [row, col] : {std::pair<Index, Index>{0, 0}, {19, 29}, {7, 16}, {7, 15}}) {
      TestMatrix w = sinq::test::generators::gaussian(20, 30, 3);
      w(row, col) = bad;
      for (const Isa isa : sinq::test::supported_isas()) {
        const Loaded tile = load(MatrixView::row_major(w.values.data(), 20, 30), 0, 0, 20, 30, 1.0F, isa);
        EXPECT_FALSE(tile.is_finite) << name(isa) << " " << bad << " at " << row << ", " << col;
      }
    }
  }
}

TEST(TileLoader, FiniteWeightsWhoseSquaresOverflowAreFinite) {
  TestMatrix w = sinq::test::generators::gaussian(20, 30, 4);
  w(3, 3) = 1e30F;
  for (const Isa isa : sinq::test::supported_isas()) {
    const Loaded tile = load(MatrixView::row_major(w.values.data(), 20, 30), 0, 0, 20, 30, 1.0F, isa);
    EXPECT_TRUE(tile.is_finite);
    EXPECT_NEAR(tile.mean_square, 1e60 / 600, 1e54) << name(isa);
  }
}

TEST(PowerOfTwoNear, IsBelowTheRootWithinAFactorOfTwo) {
  using sinq::detail::power_of_two_near;
  EXPECT_EQ(power_of_two_near(1.0), 1.0F);
  EXPECT_EQ(power_of_two_near(3.99), 1.0F);
  EXPECT_EQ(power_of_two_near(4.0), 2.0F);
  EXPECT_EQ(power_of_two_near(0.02 * 0.02), 0x1p-6F);
  EXPECT_EQ(power_of_two_near(0.0), 1.0F);
  EXPECT_EQ(power_of_two_near(std::nan("")), 1.0F);
  EXPECT_EQ(power_of_two_near(HUGE_VAL), 1.0F);
  EXPECT_GT(power_of_two_near(1e-80), 0.0F);
  EXPECT_TRUE(std::isfinite(1.0F / power_of_two_near(1e-300)));
  EXPECT_TRUE(std::isfinite(power_of_two_near(1e300)));
}

}  // namespace
