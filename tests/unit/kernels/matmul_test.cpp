#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/matvec.hpp>

#include "dot_list.hpp"
#include "random_matrix.hpp"
#include "support/matchers.hpp"

#include <Eigen/Core>
#include <gtest/gtest.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

static_assert(!noexcept(matmul(std::declval<const RepackedView&>(), std::declval<const ScaledInput&>(), RowRange{},
                               std::declval<float*>(), Index{})),
              "broken preconditions are named, in every build");

/// Every kernel and precision against double precision, for a batch whose rows are `stride` floats apart.
template <class View>
void check_view(const View& view, const Decoded& reference, Index batch, const std::string& what) {
  const Index cols = view.cols();
  const Index stride = cols + 5;
  const std::vector<float> x = gaussian(batch * stride, 11);
  std::vector<Expected> want;
  for (Index b = 0; b < batch; ++b) want.push_back(reference.times(x.data() + b * stride));
  for (const Precision precision : {Precision::kFloat, Precision::kInt15, Precision::kInt8}) {
    ScaledInput in;
    in.assign(view, Activations(x.data(), batch, cols, stride), precision);
    for (const DotKind kind : supported_dots()) {
      const Index y_stride = view.rows() + 3;
      std::vector<float> y(static_cast<std::size_t>(batch * y_stride), -1000.0F);
      detail::multiply_batch(view, in, {0, view.rows()}, {y.data(), y_stride, Output::kOverwrite}, kind);
      for (Index b = 0; b < batch; ++b) {
        const auto& w = want[static_cast<std::size_t>(b)];
        for (Index r = 0; r < y_stride; ++r) {
          const float got = y[static_cast<std::size_t>(b * y_stride + r)];
          if (r >= view.rows()) {
            ASSERT_EQ(got, -1000.0F) << "written beyond the rows";
            continue;
          }
          ASSERT_NEAR(got, w.y[static_cast<std::size_t>(r)], w.bound(precision, r))
              << what << " " << name(kind) << " precision " << static_cast<int>(precision) << " row " << r << " batch "
              << b << " of " << batch;
        }
      }
    }
  }
}

void check(const Layout& layout, Index batch) {
  const QuantizedMatrix q = random_matrix(layout);
  const Decoded decoded(q.view());
  check_view(q.view(), decoded, batch, describe(layout) + " row-major");
  if (!can_repack(layout)) return;
  const RepackedMatrix m = repack(q);
  check_view(m.view(), decoded, batch, describe(layout) + " interleaved");
}

class MatmulBits : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Bits, MatmulBits, testing::Range(1, 9));

TEST_P(MatmulBits, AgreesWithDouble) {
  for (const Index group : {8, 24, 64, 304}) {
    for (const bool has_levels : {false, true}) {
      Layout layout = make_layout(50, 331, GetParam(), group);
      layout.level_count = has_levels ? Index{1} << GetParam() : 0;
      check(layout, 10);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Matmul, AgreesWithDoubleForEveryBatch) {
  for (const Index batch : {1, 2, 3, 4, 7, 8, 9, 16, 31, 33, 127, 128, 129, 260})
    check(make_layout(20, 100, 4, 64), batch);
}

TEST(Matmul, AgreesWithDoubleForOddShapes) {
  for (const Index rows : {1, 15, 16, 17, 31, 32, 33, 49}) {
    for (const Index cols : {1, 5, 64, 130}) check(make_layout(rows, cols, 3, 64), 9);
  }
}

TEST(Matmul, AgreesWithDoubleForSquareTilesAndATrellisAsAPlainView) {
  for (const Index row_block : {1, 24, 32}) {
    Layout layout = make_layout(50, 130, 4, 64);
    layout.row_block = row_block;
    check(layout, 9);
  }
  for (const int quarter_bits : {6, 10, 18}) check(make_trellis_layout(150, 130, quarter_bits, 64), 9);
}

TEST(Matmul, EveryRowRangeGivesTheSameBits) {
  Layout layout = make_layout(37, 130, 4, 64);
  layout.row_block = 10;
  const QuantizedMatrix q = random_matrix(layout);
  const RepackedMatrix m = repack(q);
  constexpr Index kBatch = 5;
  const std::vector<float> x = gaussian(kBatch * 130);
  for (const DotKind kind : supported_dots()) {
    ScaledInput in;
    in.assign(m, Activations(x.data(), kBatch, 130), Precision::kInt8);
    std::vector<float> all(37 * kBatch);
    detail::multiply_batch(m.view(), in, {0, 37}, {all.data(), 37, Output::kOverwrite}, kind);
    for (Index begin = 0; begin < 37; ++begin) {
      for (Index end = begin; end <= 37; ++end) {
        std::vector<float> y(37 * kBatch, -5.0F), want = y;
        detail::multiply_batch(m.view(), in, {begin, end}, {y.data(), 37, Output::kOverwrite}, kind);
        detail::multiply_batch(m.view(), in, {begin, end}, {y.data(), 37, Output::kAccumulate}, kind);
        for (std::size_t i = 0; i < y.size(); ++i) {
          const auto r = static_cast<Index>(i % 37);
          if (r >= begin && r < end) want[i] = all[i] + all[i];
        }
        ASSERT_EQ(y, want) << begin << ".." << end;
      }
    }
  }
}

TEST(Matmul, NamesBrokenPreconditionsInEveryBuild) {
  const QuantizedMatrix q = random_matrix(make_layout(40, 64, 4, 64));
  const RepackedMatrix m = repack(q);
  const std::vector<float> x = gaussian(3 * 64);
  std::vector<float> y(3 * 40, -5.0F);
  ScaledInput none, in;
  in.assign(m, Activations(x.data(), 3, 64));
  const auto refuses = [&](std::initializer_list<std::string_view> words, auto&& call) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, words, call));
    for (const float value : y) ASSERT_EQ(value, -5.0F);
  };
  refuses({"matmul", "never assigned"}, [&] { matmul(m, none, {0, 40}, y.data(), 40); });
  refuses({"matmul", "rows [0, 41)"}, [&] { matmul(m, in, {0, 41}, y.data(), 41); });
  refuses({"matmul", "y_stride 0", "40 rows"}, [&] { matmul(m, in, {0, 40}, y.data(), 0); });
  refuses({"matmul", "y_stride 39"}, [&] { matmul(q, in, {0, 39}, y.data(), 39); });
  refuses({"matmul", "y is null"}, [&] { matmul(q, in, {0, 40}, static_cast<float*>(nullptr), 40); });
  refuses({"matmul", "y has 119", "120"}, [&] { matmul(q, in, {0, 40}, std::span(y).first(119), 40); });
  refuses({"matmul", "another matrix"}, [&] {
    matmul(random_matrix(make_layout(40, 64, 4, 64), 2), in, {0, 40}, std::span(y), 40);
  });
  matmul(q, in, {0, 39}, std::span(y).first(119), 40);
  EXPECT_EQ(y[119], -5.0F);
  EXPECT_NE(y[118], -5.0F);
}

TEST(Matmul, ReadsTheRowsOfAMatrix) {
  const QuantizedMatrix q = random_matrix(make_layout(40, 64, 4, 64));
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const RowMajor x = RowMajor::Random(5, 70);
  const Eigen::MatrixXf by_column = x.transpose();
  std::vector<float> want(3 * 40), y(3 * 40);
  matmul(q, Activations(x.data() + 2 * 70 + 6, 3, 64, 70), want);
  matmul(q, x.block(2, 6, 3, 64), y);
  EXPECT_EQ(y, want);
  matmul(q, by_column.block(6, 2, 64, 3).transpose(), y);
  EXPECT_EQ(y, want);
}

TEST(Matmul, ConvenienceCallsAgreeWithMatvec) {
  const QuantizedMatrix q = random_matrix(make_layout(40, 128, 4, 64));
  const std::vector<float> x = gaussian(3 * 128);
  std::vector<float> together(3 * 40), one(40);
  matmul(q, Activations(x.data(), 3, 128), together, Precision::kInt15, Serial{});
  for (std::size_t b = 0; b < 3; ++b) {
    matvec(q, std::span(x).subspan(b * 128, 128), one);
    EXPECT_TRUE(all_near(std::span(together).subspan(b * 40, 40), one, 1e-5, 1e-5));
  }
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"119", "120"},
                           [&] { matmul(q, Activations(x.data(), 3, 128), std::span(together).first(119)); }));
}

}  // namespace
