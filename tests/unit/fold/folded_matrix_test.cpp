#include <sinq/fold/folded_matrix.hpp>

#include "fold_support.hpp"
#include "support/generators.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldedMatrixTest, ReadsProductsRoundedOnce) {
  const std::vector<float> w{1.0F, 3.0F, 5.0F, 7.0F, 9.0F, 11.0F};
  const Factors factors{.rows = {1.0 / 3.0, 0.1}, .cols = {3.0, 1.0, 10.0}, .norm = NormKind::kWeight};
  const FoldedMatrix folded(MatrixView::row_major(w.data(), 2, 3), &factors);
  std::vector<float> out(4, -1.0F);
  sinq::detail::read_rect(folded.view(), {1, 1, 1, 2}, out.data(), 4);
  EXPECT_EQ(out[0], static_cast<float>(9.0 * 0.1));
  EXPECT_EQ(out[1], static_cast<float>(11.0 * (0.1 * 10.0)));
  EXPECT_EQ(out[2], -1.0F);
  sinq::detail::read_rect(folded.view(), {0, 0, 1, 1}, out.data(), 4);
  EXPECT_EQ(out[0], 1.0F);
}

// Whoever rounds odd products again gets what rounding the doubles gives, ties of the first rounding included.
TEST(FoldedMatrixTest, OddProductsMayBeRoundedAgain) {
  sinq::test::Random random(5);
  std::vector<float> w;
  Factors factors{.rows = {1.0}, .cols = {}, .norm = NormKind::kWeight};
  for (const int tie : {8, 9, 11, 12}) {  // half a last place of bf16 and f16 above 1, and a quarter
    for (const double epsilon : {0x1p-40, -0x1p-40, 0.0}) {
      w.insert(w.end(), {1.0F, -1.0F});
      factors.cols.insert(factors.cols.end(), 2, 1.0 + std::exp2(-tie) + epsilon);
    }
  }
  for (int i = 0; i < 4000; ++i) {
    w.push_back(static_cast<float>(std::exp2(-20.0 * random.uniform()) * random.gaussian()));
    factors.cols.push_back(std::exp2(random.gaussian()));
  }
  w.insert(w.end(), {1e-30F, 0.0F, -1e-44F, 3e38F});
  factors.cols.insert(factors.cols.end(), {1e-15, 3.0, 0.3, 0.99999999});
  const auto n = static_cast<Index>(w.size());
  const auto read = [&](ProductRounding rounding) {
    std::vector<float> out(w.size());
    const FoldedMatrix folded(MatrixView::row_major(w.data(), 1, n), &factors, rounding);
    sinq::detail::read_rect(folded.view(), {0, 0, 1, n}, out.data(), n);
    return out;
  };
  const auto odd = read(ProductRounding::kOdd), nearest = read(ProductRounding::kNearest);
  int twice = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double product = static_cast<double>(w[i]) * factors.cols[i];
    EXPECT_EQ(float_to_bfloat16(odd[i]), double_to_bfloat16(product)) << i;
    EXPECT_EQ(float_to_half(odd[i]), double_to_half(product)) << i;
    EXPECT_LE(std::abs(static_cast<double>(odd[i]) - product), std::abs(product) * 0x1p-23 + 0x1p-149) << i;
    twice += float_to_bfloat16(nearest[i]) != double_to_bfloat16(product) ? 1 : 0;
  }
  EXPECT_GT(twice, 0) << "rounding twice is wrong somewhere, else this shows nothing";
}

TEST(FoldedMatrixTest, ProductsBeyondFloatsAreInfinite) {
  const std::vector<float> w{3e38F, -3e38F};
  const Factors factors{.rows = {10.0}, .cols = {}, .norm = NormKind::kWeight};
  std::vector<float> out(2);
  sinq::detail::read_rect(FoldedMatrix(MatrixView::row_major(w.data(), 1, 2), &factors).view(), {0, 0, 1, 2},
                          out.data(), 2);
  EXPECT_EQ(out[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(out[1], -std::numeric_limits<float>::infinity());
}

TEST(FoldedMatrixTest, WithoutFactorsIsTheMatrix) {
  const std::vector<float> w{1.0F, 3.0F};
  EXPECT_EQ(FoldedMatrix(MatrixView::row_major(w.data(), 1, 2), nullptr).view().data, w.data());
}

TEST(FoldedMatrixTest, RefusesFactorsOfAnotherSize) {
  const std::vector<float> w(6);
  const Factors factors{.rows = {1.0}, .cols = {}, .norm = NormKind::kWeight};
  expect_error([&] { FoldedMatrix(MatrixView::row_major(w.data(), 2, 3), &factors); }, Errc::kBadShape, "2 x 3");
}

}  // namespace
}  // namespace sinq::test
