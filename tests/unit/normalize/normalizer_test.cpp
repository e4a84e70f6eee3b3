// The conformance suite on the library's normalizers, and on a user's.
#include <sinq/normalize/identity.hpp>
#include <sinq/normalize/normalizer.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include "support/normalizer_suite.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace {

/// As a user might write one: each column divided by its greatest magnitude.
struct ColumnPeaks {
  static constexpr sinq::ColScaleUse kColScale = sinq::ColScaleUse::kUsed;

  void validate() const {}
  [[nodiscard]] sinq::BalanceReport balance(const sinq::TileView& tile, sinq::DualScaleSpan scales, sinq::Scratch&,
                                            sinq::Isa) const {
    std::fill(scales.row, scales.row + tile.rows, 1.0F);
    for (sinq::Index c = 0; c < tile.cols; ++c) {
      float peak = 0.0F;
      for (sinq::Index r = 0; r < tile.rows; ++r) peak = std::max(peak, std::fabs(tile.row(r)[c]));
      scales.col[c] = peak > 0.0F ? peak / tile.unit : 1.0F;
    }
    return {};
  }
};

struct NotANormalizer {
  void validate() const {}
};

static_assert(sinq::Normalizer<sinq::Sinkhorn> && sinq::Normalizer<sinq::Identity>);
static_assert(sinq::Normalizer<ColumnPeaks>);
static_assert(!sinq::Normalizer<NotANormalizer> && !sinq::Normalizer<int>);

struct SinkhornTraits {
  static sinq::Sinkhorn make() { return {}; }
};
struct UnguardedSinkhornTraits {
  static sinq::Sinkhorn make() { return {.degenerate = sinq::DegenerateTiles::kAsReference}; }
};
struct OneStepTraits {
  static sinq::Sinkhorn make() { return {.iterations = 2}; }
};
struct IdentityTraits {
  static sinq::Identity make() { return {}; }
};
struct ColumnPeaksTraits {
  static ColumnPeaks make() { return {}; }
};

using Normalizers =
    testing::Types<SinkhornTraits, UnguardedSinkhornTraits, OneStepTraits, IdentityTraits, ColumnPeaksTraits>;

}  // namespace

namespace sinq::test {
INSTANTIATE_TYPED_TEST_SUITE_P(Normalizers, NormalizerSuite, Normalizers);
}  // namespace sinq::test
