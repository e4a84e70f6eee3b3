#include <sinq/quantizers/fitted.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Fitted;
using sinq::Index;
using sinq::test::TestMatrix;
using sinq::test::throws_error;

/// Sum over a tile (one group) of squared errors of the nearest codes, by columns' weights.
template <class Q>
double squared_error(const TestMatrix& w, const Q& quantizer, const std::vector<float>& weights = {}) {
  sinq::test::TestTile tile(w);
  sinq::TileView view = tile.view();
  view.col_weights = weights.empty() ? nullptr : weights.data();
  const Index stride = sinq::round_up(w.rows, sinq::kTileStride);
  std::vector<float> scale(static_cast<std::size_t>(stride)), zero(scale.size());
  sinq::Scratch scratch = sinq::test::dirty_scratch();
  quantizer.fit(view, w.cols, {scale.data(), zero.data(), stride}, scratch, sinq::Isa::kBest);
  const double top = std::exp2(quantizer.bits) - 1;
  double error = 0.0;
  for (Index r = 0; r < w.rows; ++r) {
    for (Index c = 0; c < w.cols; ++c) {
      const auto i = static_cast<std::size_t>(r);
      const double s = static_cast<double>(scale[i]), z = static_cast<double>(zero[i]),
                   x = static_cast<double>(w(r, c));
      const double d = x - (std::clamp(std::nearbyint(x / s + z), 0.0, top) - z) * s;
      error += d * d * (weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(c)]));
    }
  }
  return error;
}

TEST(FittedTest, RefusesBadFields) {
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "bits 0", "1..8"}, [] { Fitted{.bits = 0}.validate(); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "bits 9", "1..8"}, [] { Fitted{.bits = 9}.validate(); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "rounds -1"}, [] { Fitted{.rounds = -1}.validate(); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "rounds 101"}, [] { Fitted{.rounds = 101}.validate(); }));
  EXPECT_NO_THROW(Fitted{}.validate());
}

// What it is for: less squared error than the range, most at few bits. (The optimal 2-bit grid for a normal
// distribution has a quarter less squared error than the range of 64 weights.)
TEST(FittedTest, LowersTheSquaredErrorOfTheRange) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (const int bits : {2, 3, 4, 6, 8}) {
      const TestMatrix w = generator.make(64, 64, 1).times(50.0);
      const double range = squared_error(w, sinq::Uniform{.bits = bits}),
                   fitted = squared_error(w, Fitted{.bits = bits});
      EXPECT_LE(fitted, range * 1.0001) << generator.name << ", bits " << bits;
      if (bits <= 3) {
        EXPECT_LT(fitted, 0.85 * range) << generator.name << ", bits " << bits;
      }
    }
  }
}

TEST(FittedTest, MoreRoundsAreNoWorse) {
  const TestMatrix w = sinq::test::generators::student_t(64, 64, 2).times(50.0);
  for (const int bits : {2, 4}) {
    const double none = squared_error(w, Fitted{.bits = bits, .rounds = 0});
    EXPECT_LE(squared_error(w, Fitted{.bits = bits, .rounds = 8}), none) << bits;
  }
}

TEST(FittedTest, HeedsTheWeightsOfColumns) {
  const TestMatrix w = sinq::test::generators::gaussian(64, 64, 3).times(50.0);
  std::vector<float> weights(64, 0.01F);
  for (std::size_t c = 0; c < 16; ++c) weights[c] = 1.0F;
  const Fitted fitted{.bits = 2};
  sinq::test::TestTile tile(w);
  const double heeded = squared_error(w, fitted, weights);
  // The same fit without weights, measured with them.
  std::vector<float> scale(64), zero(64);
  sinq::Scratch scratch;
  fitted.fit(tile.view(), 64, {scale.data(), zero.data(), 64}, scratch, sinq::Isa::kBest);
  double ignored = 0.0;
  for (Index r = 0; r < 64; ++r) {
    for (Index c = 0; c < 64; ++c) {
      const auto i = static_cast<std::size_t>(r);
      const double s = static_cast<double>(scale[i]), z = static_cast<double>(zero[i]),
                   x = static_cast<double>(w(r, c));
      const double d = x - (std::clamp(std::nearbyint(x / s + z), 0.0, 3.0) - z) * s;
      ignored += d * d * static_cast<double>(weights[static_cast<std::size_t>(c)]);
    }
  }
  EXPECT_LT(heeded, 0.95 * ignored);
}

}  // namespace
