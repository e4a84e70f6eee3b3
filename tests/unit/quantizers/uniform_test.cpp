#include <sinq/quantizers/uniform.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/reference.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using sinq::Division;
using sinq::Errc;
using sinq::Index;
using sinq::Isa;
using sinq::SymmetricRange;
using sinq::Symmetry;
using sinq::Uniform;
using sinq::ZeroPoint;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
namespace reference = sinq::test::reference;

struct Result {
  std::vector<float> scale, zero;  ///< [rows], of the only group
  std::vector<int> codes;          ///< [rows, cols]
};

Result run(const TestMatrix& w, const Uniform& uniform, Isa isa = Isa::kBest) {
  sinq::test::TestTile tile(w);
  const Index stride = sinq::round_up(w.rows, sinq::kTileStride), columns = tile.view().stride;
  Result out{
      std::vector<float>(static_cast<std::size_t>(stride)), std::vector<float>(static_cast<std::size_t>(stride)), {}};
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(w.rows * columns + sinq::kTileStride));
  sinq::Scratch scratch;
  const sinq::GroupParams params{out.scale.data(), out.zero.data(), stride};
  uniform.fit(tile.view(), w.cols, params, scratch, isa);
  uniform.encode(tile.view(), w.cols, params, codes.data(), columns, isa);
  for (Index r = 0; r < w.rows; ++r) {
    for (Index c = 0; c < w.cols; ++c) out.codes.push_back(codes[static_cast<std::size_t>(r * columns + c)]);
  }
  return out;
}

TestMatrix row(const std::vector<float>& values) {
  TestMatrix w(1, static_cast<Index>(values.size()));
  w.values = values;
  return w;
}

TEST(UniformTest, RefusesBadFields) {
  for (const int bits : {0, 9, -1}) {
    const std::string value = sinq::detail::text("bits ", bits);
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Uniform", value, "1..8"}, [&] { Uniform{.bits = bits}.validate(); }));
  }
  const Uniform two{.bits = 2, .symmetry = Symmetry::kSymmetric, .symmetric_range = SymmetricRange::kReference};
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Uniform", "bits 2", "kReference"}, [&] { two.validate(); }));
  for (int bits = 1; bits <= 8; ++bits) EXPECT_NO_THROW(Uniform{.bits = bits}.validate());
}

TEST(UniformTest, FormatSaysWhatCodesMean) {
  const auto format = Uniform{.bits = 5}.format();
  EXPECT_EQ(format.bits, 5);
  EXPECT_EQ(format.symmetry, Symmetry::kAsymmetric);
  EXPECT_TRUE(format.levels.empty());
  Uniform symmetric{.bits = 5, .symmetry = Symmetry::kSymmetric};
  EXPECT_EQ(symmetric.format().shared_zero_point, 16.0F);
  symmetric.bits = 1;
  EXPECT_EQ(symmetric.format().shared_zero_point, 0.5F) << "both levels are off zero";
  symmetric = {.bits = 4, .symmetry = Symmetry::kSymmetric, .symmetric_range = SymmetricRange::kReference};
  EXPECT_EQ(symmetric.format().shared_zero_point, 7.0F);
}

TEST(UniformTest, RealZeroPointPutsTheRangesEndsOnLevels) {
  const Result q = run(row({-1.0F, 0.0F, 0.5F, 2.0F}), {.bits = 2});
  EXPECT_EQ(q.scale[0], 1.0F);
  EXPECT_EQ(q.zero[0], 1.0F);
  EXPECT_EQ(q.codes, (std::vector<int>{0, 1, 2, 3})) << "1.5 rounds to even";
}

TEST(UniformTest, IntegerZeroPointIsALevelAndMayLieOutside) {
  const Result q = run(row({10.0F, 11.0F, 12.0F, 13.5F}), {.bits = 3, .zero_point = ZeroPoint::kInteger});
  EXPECT_EQ(q.scale[0], 0.5F);
  EXPECT_EQ(q.zero[0], -20.0F);
  EXPECT_EQ(q.codes, (std::vector<int>{0, 2, 4, 7}));
}

// FORMAT.md 7.6: half to even, for codes and zero points: -round(-7.5) = 8.
TEST(UniformTest, ExactDivisionRoundsTiesToEven) {
  TestMatrix w(1, 17);
  for (Index c = 0; c < 16; ++c) w(0, c) = static_cast<float>(c) - 7.5F;
  w(0, 16) = 0.0F;
  const Result q = run(w, {.zero_point = ZeroPoint::kInteger, .division = Division::kExact});
  EXPECT_EQ(q.scale[0], 1.0F);
  EXPECT_EQ(q.zero[0], 8.0F);
  for (Index c = 0; c < 16; ++c) {
    const double exact = static_cast<double>(w(0, c)) + 8.0;
    EXPECT_EQ(q.codes[static_cast<std::size_t>(c)], std::min(15.0, std::nearbyint(exact))) << c;
  }
  for (float& x : w.values) x += 1.0F;
  EXPECT_EQ(run(w, {.zero_point = ZeroPoint::kInteger, .division = Division::kExact}).zero[0], 6.0F) << "of 6.5";
}

TEST(UniformTest, SymmetricUsesAllLevels) {
  // The scale under which neither end is more than half a step outside: 7.5 above, 8.5 below.
  const Result high = run(row({-1.0F, 0.0F, 3.75F}), {.symmetry = Symmetry::kSymmetric});
  EXPECT_EQ(high.scale[0], 0.5F);
  EXPECT_EQ(high.zero[0], 8.0F);
  EXPECT_EQ(high.codes, (std::vector<int>{6, 8, 15}));
  const Result low = run(row({-4.25F, 0.0F, 1.0F}), {.symmetry = Symmetry::kSymmetric});
  EXPECT_EQ(low.scale[0], 0.5F);
  EXPECT_EQ(low.codes, (std::vector<int>{0, 8, 10}));
}

TEST(UniformTest, ReferenceRangeLeavesThreeLevelsUnused) {
  const Result q = run(row({-6.0F, -1.0F, 0.0F, 6.0F}),
                       {.symmetry = Symmetry::kSymmetric, .symmetric_range = SymmetricRange::kReference});
  EXPECT_EQ(q.scale[0], 1.0F);
  EXPECT_EQ(q.zero[0], 7.0F);
  EXPECT_EQ(q.codes, (std::vector<int>{1, 6, 7, 13}));
}

TEST(UniformTest, OneBitIsAMeanAndADistance) {
  const Result symmetric = run(row({-1.0F, -2.0F, 3.0F, 4.0F}), {.bits = 1, .symmetry = Symmetry::kSymmetric});
  EXPECT_EQ(symmetric.scale[0], 5.0F) << "levels at -2.5 and 2.5";
  EXPECT_EQ(symmetric.codes, (std::vector<int>{0, 0, 1, 1}));
  const Result asymmetric = run(row({9.0F, 9.0F, 11.0F, 11.0F}), {.bits = 1});
  EXPECT_EQ(asymmetric.scale[0], 2.0F);
  EXPECT_EQ((0.0F - asymmetric.zero[0]) * asymmetric.scale[0], 9.0F);
  EXPECT_EQ(asymmetric.codes, (std::vector<int>{0, 0, 1, 1}));
}

// Constant groups: the floor of the range keeps the scale positive, in units of the tile.
TEST(UniformTest, ConstantGroupsKeepAPositiveScale) {
  for (const float value : {0.0F, 1.0F, -3.0F}) {
    for (const int bits : {2, 4, 8}) {
      const Result q = run(row(std::vector<float>(20, value)), {.bits = bits});
      EXPECT_GT(q.scale[0], 0.0F);
      const float decoded = (static_cast<float>(q.codes[0]) - q.zero[0]) * q.scale[0];
      EXPECT_NEAR(decoded, value, 1e-6F * std::fabs(value)) << bits;
    }
  }
}

// FORMAT.md section 9, as everywhere.
TEST(UniformTest, MatchesTheSlowReference) {
  sinq::test::Random random(1);
  for (int i = 0; i < 200; ++i) {
    const auto& generators = sinq::test::ordinary_generators();
    const TestMatrix w =
        generators[random.bits() % generators.size()].make(random.between(1, 40), random.between(1, 80), random.bits());
    const reference::Matrix<double> m(w.rows, w.cols, w.values);
    const int bits = static_cast<int>(random.between(2, 8));
    const auto expected = reference::round_uniform(m, w.cols, bits, reference::Zero::kReal);
    for (const Isa isa : sinq::test::supported_isas()) {
      for (const Division division : {Division::kReciprocal, Division::kExact}) {
        const Result actual = run(w, {.bits = bits, .division = division}, isa);
        for (Index r = 0; r < w.rows; ++r) {
          const auto row_index = static_cast<std::size_t>(r);
          const double zero = expected.zero(r, 0);
          // Two weights that nearly cancel in the range lose digits in float: at most those of the larger one.
          const double tolerance = 2e-6 * (1 + std::abs(zero) / ((1 << bits) - 1));
          ASSERT_NEAR(actual.scale[row_index], expected.scale(r, 0), tolerance * expected.scale(r, 0));
          ASSERT_NEAR(actual.zero[row_index], zero, tolerance * std::max(1.0, std::abs(zero)));
          for (Index c = 0; c < w.cols; ++c) {
            if (expected.margin(r, c) < 4e-6 * (std::abs(zero) + (1 << bits))) continue;
            ASSERT_EQ(actual.codes[static_cast<std::size_t>(r * w.cols + c)], expected.codes(r, c)) << name(isa);
          }
        }
      }
    }
  }
}

}  // namespace
