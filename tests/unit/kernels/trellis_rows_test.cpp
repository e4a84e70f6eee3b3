#include <sinq/kernels/multiply.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "dot_list.hpp"
#include "random_matrix.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

constexpr Precision kPrecisions[] = {Precision::kFloat, Precision::kInt15, Precision::kInt8};

/// Every kernel and precision, one vector and batches, against double precision.
void check(const QuantizedView& view, const std::string& what, std::initializer_list<Index> batches) {
  for (const Index batch : batches) {
    const std::vector<float> x = gaussian(batch * view.cols(), 40);
    for (const Precision precision : kPrecisions) {
      ScaledInput in;
      in.assign(view, Activations(x.data(), batch, view.cols()), precision);
      for (const DotKind kind : supported_dots()) {
        std::vector<float> y(static_cast<std::size_t>(batch * view.rows()), -1000.0F);
        if (batch == 1) {
          detail::multiply_vector(view, in, {0, view.rows()}, {y.data(), 0, Output::kOverwrite}, kind);
        } else {
          detail::multiply_batch(view, in, {0, view.rows()}, {y.data(), view.rows(), Output::kOverwrite}, kind);
        }
        for (Index b = 0; b < batch; b += batch < 8 ? 1 : 7) {
          const Expected want = expected(view, x.data() + b * view.cols());
          for (Index r = 0; r < view.rows(); ++r) {
            ASSERT_NEAR(y[static_cast<std::size_t>(b * view.rows() + r)], want.y[static_cast<std::size_t>(r)],
                        want.bound(precision, r))
                << what << " " << name(kind) << " precision " << static_cast<int>(precision) << " batch " << batch
                << " input " << b << " row " << r;
          }
        }
      }
    }
  }
}

void check(const Layout& layout, std::initializer_list<Index> batches = {1}) {
  const QuantizedMatrix q = random_matrix(layout);
  check(q.view(), describe(layout), batches);
}

class TrellisRows : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rates, TrellisRows,
                         testing::Range(TrellisGeometry::kMinQuarterBits, TrellisGeometry::kMaxQuarterBits + 1));

TEST_P(TrellisRows, AgreesWithDouble) {
  check(make_trellis_layout(256, 192, GetParam(), 64), {1, 3});
  // Neither whole panels, nor blocks of lines, nor quads.
  check(make_trellis_layout(131, 113, GetParam(), 32), {1});
}

TEST(TrellisRows, AgreesWithDoubleForEveryFormat) {
  for (const Index group : {16, 48, 64, 128, 272, 1024}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
      for (const Index rows : {1, 60, 70, 128, 200}) {
        Layout layout = make_trellis_layout(rows, 400, 10, group);
        layout.aux = aux;
        check(layout);
      }
    }
  }
}

TEST(TrellisRows, RowBlocksHaveColumnScalesOfTheirOwn) {
  for (const Index row_block : {32, 64, 100, 128}) {
    Layout layout = make_trellis_layout(300, 128, 14, 64);
    layout.row_block = row_block;
    check(layout, {1, 2});
  }
  Layout layout = make_trellis_layout(300, 128, 14, 64);
  layout.col_scale = ColScaleKind::kNone;
  check(layout, {1, 2});
}

TEST(TrellisRows, Batches) {
  for (const Index group : {32, 64, 384}) {
    check(make_trellis_layout(150, 330, 11, group), {2, 8, 33, 70});
  }
}

/// Windows start on panels of 128 rows and on groups; their first weights depend on lines before the window.
TEST(TrellisRows, Windows) {
  for (const int quarter_bits : {6, 9, 16}) {
    const QuantizedMatrix q = random_matrix(make_trellis_layout(400, 256, quarter_bits, 32));
    check(q.view().row_slice({128, 400}), "rows", {1, 2});
    check(q.view().row_slice({256, 400}), "last rows", {1});
    check(q.view().col_slice({32, 160}), "columns", {1, 2});
    check(q.view().row_slice({128, 256}).col_slice({224, 256}), "both", {1});
  }
}

/// W times x, rows `rows`, with the best kernel of this machine.
void multiply(const QuantizedView& view, const ScaledInput& in, RowRange rows, std::vector<float>& y,
              Output output = Output::kOverwrite) {
  const DotKind best = supported_dots().back();
  if (in.batch() == 1) return detail::multiply_vector(view, in, rows, {y.data(), 0, output}, best);
  detail::multiply_batch(view, in, rows, {y.data(), view.rows(), output}, best);
}

TEST(TrellisRows, AnySplitOfTheRowsGivesTheSameBits) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(300, 128, 13, 64));
  const std::vector<float> x = gaussian(3 * 128);
  for (const Precision precision : kPrecisions) {
    for (const Index batch : {1, 3}) {
      ScaledInput in;
      in.assign(q, Activations(x.data(), batch, 128), precision);
      std::vector<float> whole(static_cast<std::size_t>(300 * batch)), parts = whole;
      multiply(q.view(), in, {0, 300}, whole);
      for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {1, 130}, {130, 256}, {256, 300}}) {
        multiply(q.view(), in, {begin, end}, parts);
      }
      EXPECT_EQ(whole, parts);
    }
  }
}

TEST(TrellisRows, AccumulatesIntoOldValues) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(128, 64, 12, 64));
  ScaledInput in;
  in.assign(q, gaussian(64));
  std::vector<float> y(128, 0.0F), twice(128, 0.0F);
  multiply(q.view(), in, {0, 128}, y);
  for (int i = 0; i < 2; ++i) multiply(q.view(), in, {0, 128}, twice, Output::kAccumulate);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(twice[i], y[i] + y[i]);
}

TEST(TrellisRows, NaNInABlockMakesEveryResultNaN) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(128, 128, 8, 64));
  std::vector<float> x = gaussian(128), y(128);
  x[70] = std::numeric_limits<float>::quiet_NaN();
  for (const Precision precision : kPrecisions) {
    ScaledInput in;
    in.assign(q, x, precision);
    multiply(q.view(), in, {0, 128}, y);
    for (const float value : y) EXPECT_TRUE(value != value);
  }
}

/// Threads take whole panels: half of one would be decoded twice.
TEST(TrellisRows, SharesOfThreadsAreWholePanels) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(700, 64, 10, 64));
  ThreadPool pool(3);
  std::mutex mutex;
  Index rows = 0;
  detail::for_each_share(q.view(), pool, [&](RowRange share) {
    const std::scoped_lock lock(mutex);
    EXPECT_EQ(share.begin % TrellisGeometry::kPanelRows, 0);
    rows += share.size();
  });
  EXPECT_EQ(rows, 700);
}

}  // namespace
