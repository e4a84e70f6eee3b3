#include <sinq/kernels/activations.hpp>

#include <Eigen/Core>
#include <gtest/gtest.h>

#include <array>
#include <span>
#include <type_traits>
#include <vector>

namespace {

using sinq::Activations;
using ByColumn = Eigen::MatrixXf;
using ByRow = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;

template <class X>
constexpr bool kTaken = std::is_convertible_v<X, Activations>;
/// The type of an expression of a matrix, e.g. of one row.
template <class Matrix, class F>
using Part = std::invoke_result_t<F, const Matrix&>;

constexpr auto kRow = [](const auto& x) { return x.row(3); };
constexpr auto kCol = [](const auto& x) { return x.col(3); };
constexpr auto kTransposed = [](const auto& x) { return x.transpose(); };
constexpr auto kBlock = [](const auto& x) { return x.block(1, 2, 3, 4); };
constexpr auto kSegment = [](const auto& x) { return x.segment(1, 2); };
constexpr auto kDiagonal = [](const auto& x) { return x.diagonal(); };
constexpr auto kReversed = [](const auto& x) { return x.reverse(); };

static_assert(kTaken<std::vector<float>> && kTaken<std::span<const float>> && kTaken<std::array<float, 4>>);
static_assert(kTaken<Vector> && kTaken<Eigen::RowVectorXf> && kTaken<Eigen::Vector4f> && kTaken<Eigen::ArrayXf>);
static_assert(kTaken<Part<Vector, decltype(kSegment)>> && kTaken<Part<Vector, decltype(kTransposed)>>);
static_assert(kTaken<Eigen::Map<const Vector>> && kTaken<Eigen::Ref<const Vector>>);
static_assert(kTaken<Part<ByRow, decltype(kRow)>> && kTaken<Part<ByColumn, decltype(kCol)>>);

// Read with their stride.
static_assert(kTaken<ByRow> && kTaken<Part<ByRow, decltype(kBlock)>> && kTaken<Part<ByColumn, decltype(kTransposed)>>);
static_assert(kTaken<Eigen::Map<const ByRow, 0, Eigen::OuterStride<>>>);

// Refused: there are gaps between the floats, or nobody knows.
static_assert(!kTaken<Part<ByColumn, decltype(kRow)>> && !kTaken<Part<ByRow, decltype(kCol)>>);
static_assert(!kTaken<Part<Eigen::Matrix4f, decltype(kRow)>> && !kTaken<Part<ByRow, decltype(kDiagonal)>>);
static_assert(!kTaken<Eigen::Map<Vector, 0, Eigen::InnerStride<2>>>);
static_assert(!kTaken<Eigen::Map<Vector, 0, Eigen::InnerStride<>>>);
static_assert(!kTaken<Eigen::Map<ByRow, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>>);
static_assert(!kTaken<ByColumn> && !kTaken<Part<ByRow, decltype(kTransposed)>>, "one vector it is not");
static_assert(!kTaken<Part<Vector, decltype(kReversed)>> && !kTaken<std::vector<double>>);

struct EngineTensor {
  const float* data() const;
  std::size_t size() const;
  std::ptrdiff_t stride() const;
};
static_assert(!kTaken<EngineTensor>, "its floats may have gaps");

TEST(Activations, AreTheRowsOfAMatrix) {
  const ByRow x = ByRow::Random(5, 9);
  const Activations all = x, part = x.block(1, 2, 3, 4), one = x.row(2);
  EXPECT_EQ(all.batch(), 5);
  EXPECT_EQ(all.cols(), 9);
  EXPECT_EQ(part.batch(), 3);
  EXPECT_EQ(part.cols(), 4);
  EXPECT_EQ(one.batch(), 1);
  EXPECT_EQ(one.cols(), 9);
  for (sinq::Index r = 0; r < 3; ++r) {
    for (sinq::Index c = 0; c < 4; ++c) {
      EXPECT_EQ(static_cast<const void*>(part.at(r, c)), &x.coeffRef(1 + r, 2 + c));
    }
  }
  EXPECT_EQ(static_cast<const void*>(one.at(0, 4)), &x.coeffRef(2, 4));
}

}  // namespace
