// What must be refused, by every method: an Error whose text names field, value and rule.
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/imbalance.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/methods.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::MatrixView;
using sinq::detail::text;
using sinq::test::Balance;
using sinq::test::Method;
using sinq::test::quantize_with;
using sinq::test::Rounding;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<Method> methods() {
  std::vector<Method> out;
  for (const Rounding rounding : {Rounding::kRealUniform, Rounding::kSymmetric, Rounding::kNf4, Rounding::kHqq}) {
    for (const Balance balance : {Balance::kSinkhorn, Balance::kIdentity}) {
      for (const auto aux : {sinq::AuxFormat::kF16, sinq::AuxFormat::kU8}) {
        for (const auto tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
          out.push_back({.rounding = rounding, .balance = balance, .group_size = 16, .tiling = tiling, .aux = aux});
        }
      }
    }
  }
  return out;
}

TEST(BadWeights, AreNamedWithRowColumnAndValue) {
  for (const Method& method : methods()) {
    for (const auto& [row, col] : {std::pair<Index, Index>{0, 0}, {39, 35}, {17, 31}, {20, 33}}) {
      for (const auto& [value, word] :
           {std::pair<float, const char*>{std::nanf(""), "nan"}, {kInf, "inf"}, {-kInf, "-inf"}}) {
        TestMatrix w = sinq::test::generators::gaussian(40, 36, 1);
        w(row, col) = value;
        const std::string where = text("[", row, ", ", col, "]");
        EXPECT_TRUE(throws_error(Errc::kBadData, {where, word, "finite"}, [&] {
          return quantize_with(method, view(w));
        })) << describe(method);
      }
    }
  }
}

TEST(BadWeights, TheFirstIsNamedWhateverTheThreads) {
  TestMatrix w = sinq::test::generators::gaussian(64, 256, 2);
  w(60, 3) = kInf;
  w(5, 250) = std::nanf("");
  for (const Index threads : {1, 2, 4}) {
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[5, 250]", "nan"}, [&] {
      return quantize_with({}, view(w), {}, threads);
    })) << threads;
  }
}

TEST(BadWeights, AllNaN) {
  TestMatrix w(20, 20);
  for (float& x : w.values) x = std::nanf("");
  for (const Method& method : methods()) {
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[0, 0]", "nan"}, [&] { return quantize_with(method, view(w)); }));
  }
}

TEST(BadWeights, DoublesBeyondFloat) {
  std::vector<double> w(16 * 16, 0.5);
  w[35] = 1e300;
  EXPECT_TRUE(throws_error(Errc::kBadData, {"[2, 3]", "inf", "float32"}, [&] {
    return quantize_with({}, MatrixView::row_major(w.data(), sinq::ScalarType::kF64, 16, 16));
  }));
}

// 70000 is finite in float and infinite in half.
TEST(BadWeights, InfiniteAfterRoundingToHalf) {
  TestMatrix w = sinq::test::generators::gaussian(16, 16, 3);
  w(4, 5) = 70000.0F;
  sinq::Config<> config;
  EXPECT_NO_THROW(static_cast<void>(sinq::quantize(view(w), config)));
  config.input_rounding = sinq::InputRounding::kF16;
  EXPECT_TRUE(throws_error(Errc::kBadData, {"[4, 5]", "inf"}, [&] { return sinq::quantize(view(w), config); }));
}

// The largest floats are finite, though their squares are not.
TEST(GoodWeights, LargestFloats) {
  TestMatrix w = sinq::test::generators::two_valued(40, 36, 4);
  for (float& x : w.values) x = x > 0 ? std::numeric_limits<float>::max() : std::numeric_limits<float>::lowest();
  for (const Method& method : methods()) {
    EXPECT_NO_THROW(static_cast<void>(quantize_with(method, view(w)))) << describe(method);
  }
}

// Beside weights of 0.02, the largest float leaves float's range under any scale that suits the others: refused by
// name, or quantized, but never blamed on another weight.
TEST(GoodWeights, LargestFloatAmongSmallOnes) {
  TestMatrix w = sinq::test::generators::gaussian(40, 36, 4);
  w(3, 4) = std::numeric_limits<float>::max();
  for (const Method& method : methods()) {
    try {
      static_cast<void>(quantize_with(method, view(w)));
    } catch (const sinq::Error& e) {
      EXPECT_NE(std::string(e.what()).find("[3, 4]"), std::string::npos) << describe(method) << ": " << e.what();
    }
  }
  w(3, 4) = 1e30F;
  for (const Method& method : methods()) {
    EXPECT_NO_THROW(static_cast<void>(quantize_with(method, view(w)))) << describe(method);
  }
}

TEST(BadShape, EmptyMatrices) {
  const float one = 1.0F;
  for (const auto& [rows, cols] : {std::pair<Index, Index>{0, 5}, {5, 0}, {0, 0}, {-1, 5}}) {
    const MatrixView empty = MatrixView::row_major(&one, rows, cols);
    const std::string shape = text(rows, " x ", cols);
    for (const Method& method : methods()) {
      EXPECT_TRUE(throws_error(Errc::kBadShape, {shape, "empty"}, [&] { return quantize_with(method, empty); }));
      EXPECT_TRUE(throws_error(Errc::kBadShape, {shape},
                               [&, r = rows, c = cols] { return required_bytes_with(method, r, c); }));
    }
    EXPECT_TRUE(
        throws_error(Errc::kBadShape, {shape, "empty"}, [&] { return sinq::balance(empty, sinq::Sinkhorn{}); }));
    EXPECT_TRUE(throws_error(Errc::kBadShape, {shape, "empty"}, [&] { return sinq::imbalance(empty); }));
  }
}

TEST(BadShape, NoData) {
  const MatrixView nothing{.rows = 4, .cols = 4, .row_stride = 4};
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"no data"}, [&] { return quantize_with({}, nothing); }));
}

TEST(BadConfig, GroupSizes) {
  const TestMatrix w = sinq::test::generators::gaussian(8, 64, 5);
  for (Method method : methods()) {
    for (const Index size : {0, -8, 44, 4, 63}) {
      method.group_size = size;
      const char* rule = size <= 0 ? "positive" : "multiple of 8";
      const auto run = [&] { return quantize_with(method, view(w)); };
      EXPECT_TRUE(throws_error(Errc::kBadConfig, {text("group_size ", size), rule}, run));
      const auto ask = [&] { return required_bytes_with(method, 8, 64); };
      EXPECT_TRUE(throws_error(Errc::kBadConfig, {text("group_size ", size), rule}, ask));
    }
  }
}

TEST(BadConfig, Bits) {
  const TestMatrix w = sinq::test::generators::gaussian(8, 64, 6);
  for (const Rounding rounding : {Rounding::kRealUniform, Rounding::kSymmetric, Rounding::kHqq}) {
    for (const int bits : {0, 9, -1, 100}) {
      EXPECT_TRUE(throws_error(Errc::kBadConfig, {text("bits ", bits), "1..8"},
                               [&] { return quantize_with({.rounding = rounding, .bits = bits}, view(w)); }));
    }
  }
}

TEST(BadConfig, TileThatIsNoMultipleOfTheGroup) {
  const TestMatrix w = sinq::test::generators::gaussian(8, 64, 7);
  for (const Index tile : {8, 24, -16}) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {text("tile_cols ", tile), "multiple", "group_size 16"},
                             [&] { return quantize_with({.group_size = 16, .tile_cols = tile}, view(w)); }));
  }
}

// FORMAT.md 4.1: 72 and 100 columns have no half of 64 that divides them.
TEST(BadConfig, HalvingThatDoesNotEnd) {
  for (const Index cols : {72, 100, 8}) {
    const TestMatrix w = sinq::test::generators::gaussian(16, cols, 8);
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"group_size 64", text("cols ", cols)},
                             [&] { return quantize_with({.ragged = sinq::RaggedTile::kHalve}, view(w)); }));
  }
  const TestMatrix w = sinq::test::generators::gaussian(48, 64, 9);
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"rows 48"}, [&] {
    return quantize_with({.tiling = sinq::Tiling::kSquare, .ragged = sinq::RaggedTile::kHalve}, view(w));
  }));
}

TEST(Balance, RefusesWhatQuantizeRefuses) {
  TestMatrix w = sinq::test::generators::gaussian(8, 8, 10);
  w(1, 2) = std::nanf("");
  EXPECT_TRUE(
      throws_error(Errc::kBadData, {"[1, 2]", "nan"}, [&] { return sinq::balance(view(w), sinq::Sinkhorn{}); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"iterations -1"},
                           [&] { return sinq::balance(view(w), sinq::Sinkhorn{.iterations = -1}); }));
}

}  // namespace
