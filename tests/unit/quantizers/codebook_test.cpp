#include <sinq/quantizers/codebook.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/reference.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using sinq::Codebook;
using sinq::Errc;
using sinq::Index;
using sinq::Isa;
using sinq::Symmetry;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
namespace reference = sinq::test::reference;

Codebook of(const std::vector<float>& levels) { return Codebook(std::span<const float>(levels)); }

/// Codes of `values` as they are: scale 1, zero point 0.
std::vector<int> encode(const Codebook& codebook, const std::vector<float>& values, Isa isa = Isa::kBest) {
  TestMatrix w(1, static_cast<Index>(values.size()));
  w.values = values;
  sinq::test::TestTile tile(w);
  float scale = 1.0F, zero = 0.0F;
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(tile.view().stride + sinq::kTileStride));
  codebook.encode(tile.view(), tile.view().stride, {&scale, &zero, 1}, codes.data(), tile.view().stride, isa);
  return {codes.begin(), codes.begin() + w.cols};
}

sinq::GroupFit fit(const Codebook& codebook, const std::vector<float>& values) {
  TestMatrix w(1, static_cast<Index>(values.size()));
  w.values = values;
  sinq::test::TestTile tile(w);
  std::array<float, 16> scale{}, zero{};
  sinq::Scratch scratch;
  codebook.fit(tile.view(), tile.view().cols, {scale.data(), zero.data(), 16}, scratch, Isa::kBest);
  return {scale[0], zero[0]};
}

TEST(CodebookTest, RefusesBadLevels) {
  const auto refuses = [](const std::vector<float>& levels, std::initializer_list<std::string_view> parts) {
    return throws_error(Errc::kBadConfig, parts, [&] { of(levels).validate(); });
  };
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Codebook", "0 levels", "2..256"}, [] { Codebook().validate(); }));
  EXPECT_TRUE(refuses({1.0F}, {"Codebook", "1 levels", "2..256"}));
  EXPECT_TRUE(refuses(std::vector<float>(257, 1.0F), {"Codebook", "257 levels", "2..256"}));
  EXPECT_TRUE(refuses({0.0F, 1.0F, 0.5F}, {"Codebook", "level 2", "0.5", "ascend"}));
  EXPECT_TRUE(refuses({0.0F, std::nanf(""), 0.5F}, {"Codebook", "level 1", "nan", "finite"}));
  EXPECT_TRUE(refuses({0.0F, HUGE_VALF}, {"Codebook", "level 1", "inf", "finite"}));
  EXPECT_TRUE(refuses({0.0F, 0.0F}, {"Codebook", "zero"}));
  EXPECT_NO_THROW(of({-1.0F, 1.0F}).validate());
}

TEST(CodebookTest, RefusesBadClips) {
  for (const float clip : {0.0F, -0.5F, 1.5F, std::nanf("")}) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Codebook", "clip", sinq::detail::text(clip)}, [&] {
      of({-1.0F, 1.0F}).with_clip(clip).validate();
    }));
  }
}

TEST(CodebookTest, TakesTheFewestBits) {
  for (std::size_t count = 2; count <= 256; ++count) {
    std::vector<float> levels(count);
    for (std::size_t i = 0; i < count; ++i) levels[i] = static_cast<float>(i);
    const Codebook codebook = of(levels);
    codebook.validate();
    EXPECT_EQ(codebook.levels().size(), count);
    EXPECT_GE(1U << codebook.bits(), count);
    EXPECT_LT(1U << (codebook.bits() - 1), count);
    const auto format = codebook.format();
    ASSERT_EQ(format.levels.size(), std::size_t{1} << codebook.bits());
    EXPECT_TRUE(std::equal(levels.begin(), levels.end(), format.levels.begin()));
    for (std::size_t i = count; i < format.levels.size(); ++i) EXPECT_EQ(format.levels[i], levels.back());
  }
}

// Exhaustively: around every level and every midpoint of tables of all sizes.
TEST(CodebookTest, EncodesToTheNearestLevel) {
  sinq::test::Random random(1);
  for (const std::size_t count : {2U, 3U, 4U, 5U, 7U, 8U, 9U, 15U, 16U, 17U, 31U, 64U, 100U, 255U, 256U}) {
    std::vector<float> levels;
    for (std::size_t i = 0; i < count; ++i) levels.push_back(static_cast<float>(random.gaussian()));
    std::sort(levels.begin(), levels.end());
    std::vector<float> values;
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(levels[i]);
      if (i + 1 == count) break;
      const float middle = levels[i] * 0.5F + levels[i + 1] * 0.5F;
      values.push_back(middle + 1e-3F * (levels[i + 1] - middle));
      values.push_back(middle - 1e-3F * (levels[i + 1] - middle));
    }
    values.push_back(-100.0F);
    values.push_back(100.0F);
    const std::vector<double> exact(levels.begin(), levels.end());
    for (const Isa isa : sinq::test::supported_isas()) {
      const std::vector<int> codes = encode(of(levels), values, isa);
      for (std::size_t i = 0; i < values.size(); ++i) {
        double margin = 0.0;
        const double expected = reference::nearest_level(static_cast<double>(values[i]), exact, margin);
        // Midpoints are floats: between levels that are neighbours in float, they are one of them.
        if (margin <= 0x1p-24 * std::abs(static_cast<double>(values[i]))) continue;
        EXPECT_EQ(codes[i], expected) << count << " levels, value " << values[i] << " on " << name(isa);
      }
    }
  }
}

// FORMAT.md 7.5: ties to the lowest index; and so for equal levels, inside the table and at its end.
TEST(CodebookTest, TiesAndEqualLevelsGoToTheLowestIndex) {
  for (const Isa isa : sinq::test::supported_isas()) {
    EXPECT_EQ(encode(of({-1.0F, 0.0F, 1.0F, 2.0F}), {-0.5F, 0.5F, 1.5F}, isa), (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(encode(of({-2.0F, -1.0F, 1.0F, 2.0F}), {0.0F, 1e-30F, -1e-30F}, isa), (std::vector<int>{1, 2, 1}));
    EXPECT_EQ(encode(of({-1.0F, 0.0F, 0.0F, 2.0F}), {-0.1F, 0.0F, 0.1F, 1.5F}, isa), (std::vector<int>{1, 1, 1, 3}));
    EXPECT_EQ(encode(of({-1.0F, -1.0F, -1.0F, 2.0F}), {-5.0F, -1.0F, 0.4F, 1.5F}, isa), (std::vector<int>{0, 0, 0, 3}));
    EXPECT_EQ(encode(of({-1.0F, 0.0F, 2.0F, 2.0F}), {1.5F, 2.0F, 9.0F}, isa), (std::vector<int>{2, 2, 2}));
    EXPECT_EQ(encode(of({-1.0F, 0.0F, 2.0F}), {1.5F, 2.0F, 9.0F}, isa), (std::vector<int>{2, 2, 2}));
  }
}

TEST(CodebookTest, AsymmetricFitCentersOnTheMean) {
  // Mean 1, farthest 3 away; the outermost level is 2.
  const auto q = fit(of({-2.0F, 0.0F, 1.0F}), {0.0F, 4.0F, 0.0F, 0.0F});
  EXPECT_EQ(q.scale, 1.5F);
  EXPECT_EQ((0.0F - q.zero_point) * q.scale, 1.0F) << "level 0 stands for the mean";
}

TEST(CodebookTest, SymmetricFitCentersOnZero) {
  const auto q = fit(of({-2.0F, 0.0F, 1.0F}).with(Symmetry::kSymmetric), {0.0F, 4.0F, 1.0F, -3.0F});
  EXPECT_EQ(q.scale, 2.0F);
  EXPECT_EQ(q.zero_point, 0.0F);
  EXPECT_EQ(fit(of({-2.0F, 0.0F, 1.0F}).with(Symmetry::kSymmetric).with_clip(0.5F), {0.0F, 4.0F, -3.0F}).scale, 1.0F);
}

TEST(CodebookTest, ZeroGroupsKeepAPositiveScale) {
  const auto q = fit(of({-1.0F, 0.0F, 1.0F}), {0.0F, 0.0F, 0.0F});
  EXPECT_GT(q.scale, 0.0F);
  EXPECT_EQ(q.zero_point, 0.0F);
}

TEST(CodebookTest, IsAConstant) {
  constexpr Codebook kFour{std::array<float, 4>{-1.0F, 0.0F, 1.0F, 2.0F}};
  static_assert(kFour.bits() == 2 && kFour.levels().size() == 4 && kFour.levels()[3] == 2.0F);
  EXPECT_EQ(kFour, of({-1.0F, 0.0F, 1.0F, 2.0F}));
  EXPECT_NE(kFour, of({-1.0F, 0.0F, 1.0F, 2.5F}));
}

}  // namespace
