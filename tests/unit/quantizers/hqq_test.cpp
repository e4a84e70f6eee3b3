#include <sinq/quantizers/hqq.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/reference.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Hqq;
using sinq::Index;
using sinq::Isa;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
namespace reference = sinq::test::reference;

struct Result {
  std::vector<float> scale, zero;  ///< [groups][stride]
  Index stride = 0;
};

template <class Q = Hqq>
Result fit(const TestMatrix& w, Index group_size, const Q& quantizer, Isa isa = Isa::kBest, float unit = 1.0F) {
  sinq::test::TestTile tile(w);
  Result out;
  out.stride = sinq::round_up(w.rows, sinq::kTileStride);
  out.scale.resize(static_cast<std::size_t>(out.stride * sinq::ceil_div(w.cols, group_size)));
  out.zero.resize(out.scale.size());
  sinq::Scratch scratch = sinq::test::dirty_scratch();
  quantizer.fit(tile.view(unit), group_size, {out.scale.data(), out.zero.data(), out.stride}, scratch, isa);
  return out;
}

/// Mean absolute error of the best codes under the result: what HQQ's choice of iterate minimises.
double mean_error(const TestMatrix& w, Index group_size, const Result& q, int bits) {
  double sum = 0.0;
  for (Index r = 0; r < w.rows; ++r) {
    for (Index c = 0; c < w.cols; ++c) {
      const auto i = static_cast<std::size_t>(c / group_size * q.stride + r);
      const double scale = static_cast<double>(q.scale[i]), zero = static_cast<double>(q.zero[i]);
      const double x = static_cast<double>(w(r, c));
      const double code = std::clamp(std::nearbyint(x / scale + zero), 0.0, std::exp2(bits) - 1);
      sum += std::abs(x - (code - zero) * scale);
    }
  }
  return sum / static_cast<double>(w.values.size());
}

TEST(HqqTest, RefusesBadFields) {
  struct Bad {
    Hqq hqq;
    const char* field;
    const char* value;
  };
  const Bad all[] = {
      {{.bits = 0}, "bits", "0"},
      {{.bits = 9}, "bits", "9"},
      {{.iterations = 0}, "iterations", "0"},
      {{.iterations = 1001}, "iterations", "1001"},
      {{.p = 0.0F}, "p", "0"},
      {{.p = 1.5F}, "p", "1.5"},
      {{.p = std::nanf("")}, "p", "nan"},
      {{.beta = 0.0F}, "beta", "0"},
      {{.beta = HUGE_VALF}, "beta", "inf"},
  };
  for (const Bad& bad : all) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Hqq", bad.field, bad.value}, [&] { bad.hqq.validate(); }));
  }
  EXPECT_NO_THROW(Hqq{}.validate());
}

// Zero points within 5e-6 (FORMAT.md section 9) wherever no code of any iteration is near a boundary and one iterate is
// clearly best. Small tiles, because a large one always holds such a weight.
TEST(HqqTest, MatchesTheSlowReference) {
  sinq::test::Random random(1);
  int compared = 0;
  for (int i = 0; i < 1000; ++i) {
    // Standard deviation 0.3 and 2 bits: residuals exceed 0.17, where the proximal step is not zero. 1e-4 and 2e-6: the
    // inverse scale stops at 2e4, and is 1 below a range of 1e-4.
    static constexpr double kScales[] = {1.0, 15.0, 5e-3, 1e-4};
    const double scale = random.one_of(kScales);
    const TestMatrix w =
        sinq::test::generators::gaussian(random.between(1, 4), random.between(2, 24), random.bits()).times(scale);
    const int bits = static_cast<int>(random.between(1, 5));
    const Index group_size = 16;
    const reference::Matrix<double> m(w.rows, w.cols, w.values);
    const auto expected = reference::round_hqq(m, group_size, bits);
    double magnitude = std::exp2(bits);
    for (const double z : expected.zero.values) magnitude = std::max(magnitude, std::abs(z));
    const double best = expected.hqq_error[static_cast<std::size_t>(expected.hqq_best)];
    const auto contenders = std::count_if(expected.hqq_error.begin(), expected.hqq_error.end(),
                                          [&](double error) { return error <= best * (1 + 1e-5); });
    if (expected.hqq_margin < 2e-6 * magnitude || contenders > 1) continue;
    ++compared;
    for (const Isa isa : sinq::test::supported_isas()) {
      const Result actual = fit(w, group_size, {.bits = bits}, isa);
      for (Index g = 0; g < expected.scale.cols; ++g) {
        for (Index r = 0; r < w.rows; ++r) {
          const auto at = static_cast<std::size_t>(g * actual.stride + r);
          const double s = expected.scale(r, g), z = expected.zero(r, g);
          ASSERT_NEAR(actual.scale[at], s, 2e-6 * s) << i << name(isa);
          ASSERT_NEAR(actual.zero[at], z, 5e-6 * std::max(1.0, std::abs(z))) << i << name(isa);
        }
      }
    }
  }
  EXPECT_GT(compared, 200);
}

/// Squared error of the best codes, over that of zeros.
double relative_square(const TestMatrix& w, Index group_size, const Result& q, int bits) {
  double error = 0.0, square = 0.0;
  for (Index r = 0; r < w.rows; ++r) {
    for (Index c = 0; c < w.cols; ++c) {
      const auto i = static_cast<std::size_t>(c / group_size * q.stride + r);
      const double scale = static_cast<double>(q.scale[i]), zero = static_cast<double>(q.zero[i]);
      const double x = static_cast<double>(w(r, c));
      const double code = std::clamp(std::nearbyint(x / scale + zero), 0.0, std::exp2(bits) - 1);
      const double d = x - (code - zero) * scale;
      error += d * d;
      square += x * x;
    }
  }
  return error / square;
}

// With one bit the range's ends would be the only levels.
TEST(HqqTest, OneBitIsNoWorseThanUniform) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const TestMatrix w = generator.make(32, 64, 2).times(50.0);
    for (const Isa isa : sinq::test::supported_isas()) {
      const double hqq = relative_square(w, 32, fit(w, 32, {.bits = 1}, isa), 1);
      const double uniform = relative_square(w, 32, fit(w, 32, sinq::Uniform{.bits = 1}, isa), 1);
      EXPECT_LE(hqq, uniform * (1.0 + 1e-6)) << generator.name << " " << name(isa);
      EXPECT_LE(hqq, 1.0) << generator.name << " " << name(isa);
    }
  }
}

// The iterate that is kept is at least as good as the first, whose zero point is that of the range.
TEST(HqqTest, IsNoWorseThanTheRange) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (const int bits : {2, 3, 4}) {
      const TestMatrix w = generator.make(32, 64, 2).times(50.0);
      const Result one = fit(w, 32, {.bits = bits, .iterations = 1}), best = fit(w, 32, {.bits = bits});
      EXPECT_LE(mean_error(w, 32, best, bits), 1.001 * mean_error(w, 32, one, bits)) << generator.name;
    }
  }
}

// One iterate for the tile: a group's zero point depends on what else is in it.
TEST(HqqTest, ChoosesOneIterateForTheTile) {
  static_assert(Hqq::kFitScope == sinq::FitScope::kTile);
  const TestMatrix w = sinq::test::generators::gaussian(40, 64, 3).times(50.0);
  const auto expected = reference::round_hqq(reference::Matrix<double>(w.rows, w.cols, w.values), 64, 3);
  const Result whole = fit(w, 64, {.bits = 3});
  int differing = 0;
  for (Index r = 0; r < w.rows; ++r) {
    TestMatrix one(1, w.cols);
    for (Index c = 0; c < w.cols; ++c) one(0, c) = w(r, c);
    differing += fit(one, 64, {.bits = 3}).zero[0] != whole.zero[static_cast<std::size_t>(r)] ? 1 : 0;
  }
  EXPECT_GT(differing, 10) << "alone, many rows would choose another";
}

TEST(HqqTest, CodesBelongToTheZeroPoint) {
  const TestMatrix w = sinq::test::generators::gaussian(20, 40, 4).times(100.0);
  sinq::test::TestTile tile(w);
  Result q = fit(w, 40, {.bits = 2});
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(20 * tile.view().stride + sinq::kTileStride));
  Hqq{.bits = 2}.encode(tile.view(), 40, {q.scale.data(), q.zero.data(), q.stride}, codes.data(), tile.view().stride,
                        Isa::kBest);
  double error = 0.0;
  for (Index r = 0; r < 20; ++r) {
    for (Index c = 0; c < 40; ++c) {
      const auto i = static_cast<std::size_t>(r);
      const double code = codes[static_cast<std::size_t>(r * tile.view().stride + c)];
      error += std::abs(static_cast<double>(w(r, c)) -
                        (code - static_cast<double>(q.zero[i])) * static_cast<double>(q.scale[i]));
    }
  }
  EXPECT_NEAR(error / 800.0, mean_error(w, 40, q, 2), 1e-6) << "no code is further away than the nearest";
}

}  // namespace
