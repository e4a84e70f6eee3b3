#include <sinq/eigen.hpp>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

namespace {

using sinq::Index;
using sinq::MatrixView;
using sinq::RowMatrix;
using sinq::ScalarType;
using sinq::view;

/// Element (r, c) of a view of floats or doubles, the slow way.
template <class Scalar>
double at(const MatrixView& v, Index r, Index c) {
  if (v.read_tile != nullptr) {
    float out = 0.0F;
    v.read_tile(v.data, r, c, 1, 1, &out, 1);
    return static_cast<double>(out);
  }
  return static_cast<double>(static_cast<const Scalar*>(v.data)[r * v.row_stride + c * v.col_stride]);
}

template <class Derived>
void expect_same(const MatrixView& v, const Eigen::DenseBase<Derived>& w) {
  ASSERT_EQ(v.rows, w.rows());
  ASSERT_EQ(v.cols, w.cols());
  for (Index r = 0; r < v.rows; ++r) {
    for (Index c = 0; c < v.cols; ++c) {
      EXPECT_EQ(at<typename Derived::Scalar>(v, r, c), static_cast<double>(w.derived().coeff(r, c)));
    }
  }
}

TEST(EigenView, ReadsMatricesOfBothOrdersInPlace) {
  const RowMatrix row = RowMatrix::Random(5, 7);
  const Eigen::MatrixXf col = row;
  EXPECT_EQ(view(row).data, row.data());
  EXPECT_EQ(view(col).data, col.data());
  EXPECT_EQ(view(row).row_stride, 7);
  EXPECT_EQ(view(col).col_stride, 5);
  expect_same(view(row), row);
  expect_same(view(col), col);
}

TEST(EigenView, ReadsBlocksMapsAndTransposesInPlace) {
  const Eigen::MatrixXd w = Eigen::MatrixXd::Random(6, 9);
  const auto block = w.block(1, 2, 3, 4);
  EXPECT_EQ(view(block).data, &w(1, 2));
  expect_same(view(block), block);
  const auto transposed = w.transpose();
  EXPECT_EQ(view(transposed).data, w.data());
  expect_same(view(transposed), transposed);
  std::vector<float> memory(60);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i);
  const Eigen::Map<const RowMatrix, 0, Eigen::OuterStride<>> map(memory.data(), 4, 10, Eigen::OuterStride<>(15));
  EXPECT_EQ(view(map).row_stride, 15);
  expect_same(view(map), map);
}

TEST(EigenView, KnowsScalarTypes) {
  EXPECT_EQ(view(Eigen::MatrixXf(1, 1)).type, ScalarType::kF32);
  EXPECT_EQ(view(Eigen::MatrixXd(1, 1)).type, ScalarType::kF64);
  EXPECT_EQ(view(Eigen::Matrix<Eigen::half, 2, 2>()).type, ScalarType::kF16);
  EXPECT_EQ(view(Eigen::Matrix<Eigen::bfloat16, 2, 2>()).type, ScalarType::kBf16);
}

TEST(EigenView, EvaluatesExpressionsTileByTile) {
  const RowMatrix a = RowMatrix::Random(8, 11);
  const auto expression = a * 2.0F + RowMatrix::Ones(8, 11);
  const MatrixView v = view(expression);
  ASSERT_NE(v.read_tile, nullptr);
  expect_same(v, expression);
  // A tile in the middle, with a stride of its own; what lies between rows stays untouched.
  std::vector<float> out(3 * 6, -1.0F);
  v.read_tile(v.data, 2, 4, 3, 5, out.data(), 6);
  for (Index r = 0; r < 3; ++r) {
    for (Index c = 0; c < 5; ++c) EXPECT_EQ(out[static_cast<std::size_t>(r * 6 + c)], a(2 + r, 4 + c) * 2.0F + 1.0F);
    EXPECT_EQ(out[static_cast<std::size_t>(r * 6 + 5)], -1.0F);
  }
}

TEST(EigenView, EvaluatesExpressionsOfDouble) {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(3, 4);
  const auto expression = a.array().abs().matrix();
  float out = 0.0F;
  view(expression).read_tile(&expression, 1, 2, 1, 1, &out, 1);
  EXPECT_EQ(out, static_cast<float>(std::abs(a(1, 2))));
}

template <class T>
concept Viewable = requires(const T& w) {
  sinq::view(w);
};

static_assert(Viewable<Eigen::MatrixXf> && Viewable<Eigen::MatrixXd>);
static_assert(!Viewable<Eigen::MatrixXi> && !Viewable<Eigen::MatrixXcf>,
              "integers and complex numbers are not weights");

}  // namespace
