#include <sinq/fold/folded_matrix.hpp>

#include "fold_support.hpp"

#include <gtest/gtest.h>

namespace sinq::fold::test {
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
}  // namespace sinq::fold::test
