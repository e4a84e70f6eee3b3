// The conformance suite on every quantizer of the library, and on two of a user's: one with levels, one without.
#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/group_quantizer.hpp>
#include <sinq/quantizers/hqq.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>
#include <sinq/quantizers/ternary.hpp>
#include <sinq/quantizers/uniform.hpp>

#include "support/group_quantizer_suite.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace {

using sinq::CodeFormat;
using sinq::GroupFit;
using sinq::Symmetry;

float greatest_magnitude(std::span<const float> group) {
  float most = 1e-6F;
  for (const float x : group) most = std::max(most, std::fabs(x));
  return most;
}

/// A user's: powers of two, four to each side of zero.
struct PowersOfTwo {
  static constexpr std::array<float, 8> kLevels{-1.0F, -0.5F, -0.25F, -0.125F, 0.125F, 0.25F, 0.5F, 1.0F};
  void validate() const {}
  [[nodiscard]] CodeFormat format() const { return {.bits = 3, .symmetry = Symmetry::kSymmetric, .levels = kLevels}; }
  [[nodiscard]] GroupFit fit(std::span<const float> group) const { return {greatest_magnitude(group), 0.0F}; }
};

/// A user's: the middle half of the range on an even grid, clipped outside.
struct ClippedRange {
  void validate() const {}
  [[nodiscard]] CodeFormat format() const { return {.bits = 5}; }
  [[nodiscard]] GroupFit fit(std::span<const float> group) const {
    const float scale = greatest_magnitude(group) / 31.0F;
    return {scale, 15.5F};
  }
};

struct NoFormat {
  void validate() const {}
  [[nodiscard]] GroupFit fit(std::span<const float>) const { return {}; }
};

static_assert(sinq::GroupQuantizer<PowersOfTwo> && sinq::GroupQuantizer<ClippedRange>);
static_assert(!sinq::TileQuantizer<PowersOfTwo>, "is lifted by PerGroup");
static_assert(sinq::TileQuantizer<sinq::PerGroup<PowersOfTwo>>);
static_assert(sinq::TileQuantizer<sinq::Uniform> && sinq::TileQuantizer<sinq::Hqq>);
static_assert(sinq::TileQuantizer<sinq::Codebook> && sinq::TileQuantizer<sinq::Fitted>);
static_assert(sinq::LearningQuantizer<sinq::LearnedCodebook> && !sinq::LearningQuantizer<sinq::Uniform>);
static_assert(!sinq::GroupQuantizer<NoFormat> && !sinq::TileQuantizer<NoFormat>);

template <int kBits>
struct UniformTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Uniform make() { return {.bits = kBits}; }
};
struct ExactIntegerTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Uniform make() { return {.zero_point = sinq::ZeroPoint::kInteger, .division = sinq::Division::kExact}; }
};
template <int kBits>
struct SymmetricTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Uniform make() { return {.bits = kBits, .symmetry = Symmetry::kSymmetric}; }
};
struct NozTraits {
  static constexpr int kUnusedCodes = 2;
  static sinq::Uniform make() {
    return {.symmetry = Symmetry::kSymmetric, .symmetric_range = sinq::SymmetricRange::kReference};
  }
};
struct HqqTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Hqq make() { return {.bits = 3}; }
};
struct Nf4Traits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Codebook make() { return sinq::codebooks::kNf4; }
};
struct Nf3Traits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Codebook make() { return sinq::codebooks::kNf3; }
};
struct Fp4Traits {
  static constexpr int kUnusedCodes = 1;
  static sinq::Codebook make() { return sinq::codebooks::kFp4; }
};
struct TernaryTraits {
  static constexpr int kUnusedCodes = 1;
  static sinq::Codebook make() { return sinq::codebooks::kTernary; }
};
struct FiveLevelsTraits {  // a repeated level inside, and not a power of two
  static constexpr int kUnusedCodes = 3;
  static sinq::Codebook make() { return sinq::Codebook(std::array<float, 5>{-1.0F, -0.2F, -0.2F, 0.3F, 2.0F}); }
};
struct FittedTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::Fitted make() { return {.bits = 3}; }
};
struct LearnedTraits {
  static constexpr int kUnusedCodes = 0;
  static sinq::LearnedCodebook make() { return sinq::LearnedCodebook(3); }
};
struct PowersOfTwoTraits {
  static constexpr int kUnusedCodes = 0;
  static PowersOfTwo make() { return {}; }
};
struct ClippedRangeTraits {
  static constexpr int kUnusedCodes = 0;
  static ClippedRange make() { return {}; }
};

using Quantizers =
    testing::Types<UniformTraits<1>, UniformTraits<2>, UniformTraits<4>, UniformTraits<8>, ExactIntegerTraits,
                   SymmetricTraits<1>, SymmetricTraits<3>, NozTraits, HqqTraits, Nf4Traits, Nf3Traits, Fp4Traits,
                   TernaryTraits, FiveLevelsTraits, FittedTraits, LearnedTraits, PowersOfTwoTraits, ClippedRangeTraits>;

// Ties go to the even code, or to the lower level of a table; beyond the ends to the ends.
TEST(NearestCode, RoundsAndClamps) {
  const CodeFormat even{.bits = 2};
  EXPECT_EQ(sinq::detail::nearest_code(even, 0.5F), 0);
  EXPECT_EQ(sinq::detail::nearest_code(even, 1.5F), 2);
  EXPECT_EQ(sinq::detail::nearest_code(even, -7.0F), 0);
  EXPECT_EQ(sinq::detail::nearest_code(even, 7.0F), 3);
  const std::array<float, 4> levels{-1.0F, 0.0F, 0.0F, 4.0F};
  const CodeFormat table{.bits = 2, .levels = levels};
  EXPECT_EQ(sinq::detail::nearest_code(table, -0.5F), 0);
  EXPECT_EQ(sinq::detail::nearest_code(table, 0.0F), 1);
  EXPECT_EQ(sinq::detail::nearest_code(table, 2.0F), 1);
  EXPECT_EQ(sinq::detail::nearest_code(table, 2.1F), 3);
  EXPECT_EQ(sinq::detail::nearest_code(table, 100.0F), 3);
  EXPECT_EQ(sinq::detail::nearest_code(table, -100.0F), 0);
}

}  // namespace

namespace sinq::test {
INSTANTIATE_TYPED_TEST_SUITE_P(Quantizers, GroupQuantizerSuite, Quantizers);
}  // namespace sinq::test
