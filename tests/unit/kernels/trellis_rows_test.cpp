#include <sinq/kernels/trellis.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "dot_list.hpp"
#include "random_matrix.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

/// Every kernel and precision, one vector and batches, against double precision.
void check_trellis(const QuantizedView& matrix, const std::string& what, std::initializer_list<Index> batches) {
  const TrellisView view(matrix);
  const Decoded decoded(view);
  for (const Index batch : batches) {
    const std::vector<float> x = gaussian(batch * view.cols(), 40);
    std::vector<std::pair<Index, Expected>> wanted;  // for some of the inputs
    for (Index b = 0; b < batch; b += batch < 8 ? 1 : 7)
      wanted.emplace_back(b, decoded.times(x.data() + b * view.cols()));
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
        for (const auto& [b, want] : wanted) {
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

void check_trellis(const Layout& layout, std::initializer_list<Index> batches = {1}) {
  const QuantizedMatrix q = random_matrix(layout);
  check_trellis(q.view(), describe(layout), batches);
}

class TrellisRows : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Rates, TrellisRows,
                         testing::Range(TrellisGeometry::kMinQuarterBits, TrellisGeometry::kMaxQuarterBits + 1));

TEST_P(TrellisRows, AgreesWithDouble) {
  check_trellis(make_trellis_layout(256, 192, GetParam(), 64), {1, 3});
  // Neither whole panels, nor blocks of lines, nor quads.
  check_trellis(make_trellis_layout(131, 113, GetParam(), 32), {1});
}

TEST(TrellisRows, AgreesWithDoubleForEveryFormat) {
  for (const Index group : {16, 48, 64, 128, 272, 1024}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
      for (const Index rows : {1, 60, 70, 128, 200}) {
        Layout layout = make_trellis_layout(rows, 400, 10, group);
        layout.aux = aux;
        check_trellis(layout);
      }
    }
  }
}

TEST(TrellisRows, RowBlocksHaveColumnScalesOfTheirOwn) {
  for (const Index row_block : {32, 64, 100, 128}) {
    Layout layout = make_trellis_layout(300, 128, 14, 64);
    layout.row_block = row_block;
    check_trellis(layout, {1, 2});
  }
  Layout layout = make_trellis_layout(300, 128, 14, 64);
  layout.col_scale = ColScaleKind::kNone;
  check_trellis(layout, {1, 2});
}

TEST(TrellisRows, Batches) {
  for (const Index group : {32, 64, 384}) {
    check_trellis(make_trellis_layout(150, 330, 11, group), {2, 8, 33, 70});
  }
}

/// The largest levels meet the largest activations, in pairs of equal and of opposite signs: two products are more than
/// some instructions add up without saturation if one operand has no sign.
TEST(TrellisRows, ExtremesDoNotSaturate) {
  for (const int sign : {1, -1}) {
    QuantizedMatrix q = random_matrix(make_trellis_layout(128, 256, 10, 256));
    const std::span<std::byte> levels = q.region(Region::kLevels);
    for (std::size_t i = 0; i < levels.size(); ++i) {
      levels[i] = static_cast<std::byte>(sign * (i < 16 ? 60 : i < 32 ? 40 : 27));
    }
    for (auto& scale : q.region(Region::kColScale)) scale = std::byte{0x3c};  // 1.06
    std::vector<float> x(256);
    for (std::size_t c = 0; c < x.size(); ++c) x[c] = c < 128 || c / 2 % 2 == 0 ? 1.0F : -1.0F;
    const Expected want = Decoded(q.view()).times(x.data());
    for (const Precision precision : kPrecisions) {
      ScaledInput in;
      in.assign(TrellisView(q.view()), x, precision);
      for (const DotKind kind : supported_dots()) {
        std::vector<float> y(128);
        detail::multiply_vector(TrellisView(q.view()), in, {0, 128}, {y.data(), 0, Output::kOverwrite}, kind);
        for (std::size_t r = 0; r < y.size(); ++r) {
          ASSERT_NEAR(y[r], want.y[r], 1e-5 * std::fabs(want.y[r])) << name(kind) << " row " << r;
        }
      }
    }
  }
}

/// Windows start on panels of 128 rows and on groups; their first weights depend on lines before the window.
TEST(TrellisRows, Windows) {
  for (const int quarter_bits : {6, 9, 16}) {
    const QuantizedMatrix q = random_matrix(make_trellis_layout(400, 256, quarter_bits, 32));
    check_trellis(q.view().row_slice({128, 400}), "rows", {1, 2});
    check_trellis(q.view().row_slice({256, 400}), "last rows", {1});
    check_trellis(q.view().col_slice({32, 160}), "columns", {1, 2});
    check_trellis(q.view().row_slice({128, 256}).col_slice({224, 256}), "both", {1});
  }
}

/// W times x, rows `rows`, with the best kernel of this machine.
void multiply(const TrellisView& view, const ScaledInput& in, RowRange rows, std::vector<float>& y,
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
      in.assign(TrellisView(q.view()), Activations(x.data(), batch, 128), precision);
      std::vector<float> whole(static_cast<std::size_t>(300 * batch)), parts = whole;
      multiply(TrellisView(q.view()), in, {0, 300}, whole);
      for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1}, {1, 130}, {130, 256}, {256, 300}}) {
        multiply(TrellisView(q.view()), in, {begin, end}, parts);
      }
      EXPECT_EQ(whole, parts);
    }
  }
}

TEST(TrellisRows, AccumulatesIntoOldValues) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(128, 64, 12, 64));
  ScaledInput in;
  in.assign(TrellisView(q.view()), gaussian(64));
  std::vector<float> y(128, 0.0F), twice(128, 0.0F);
  multiply(TrellisView(q.view()), in, {0, 128}, y);
  for (int i = 0; i < 2; ++i) multiply(TrellisView(q.view()), in, {0, 128}, twice, Output::kAccumulate);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(twice[i], y[i] + y[i]);
}

TEST(TrellisRows, NaNInABlockMakesEveryResultNaN) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(128, 128, 8, 64));
  std::vector<float> x = gaussian(128), y(128);
  x[70] = std::numeric_limits<float>::quiet_NaN();
  for (const Precision precision : kPrecisions) {
    ScaledInput in;
    in.assign(TrellisView(q.view()), x, precision);
    multiply(TrellisView(q.view()), in, {0, 128}, y);
    for (const float value : y) EXPECT_TRUE(value != value);
  }
}

TEST(TrellisView, RefusesOtherCodes) {
  const QuantizedMatrix q = random_matrix(make_layout(32, 64, 4, 64));
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"no lane trellis", "repack"}, [&] { TrellisView(q.view()); }));
}

/// Threads take whole panels: half of one would be decoded twice.
TEST(TrellisRows, SharesOfThreadsAreWholePanels) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(700, 64, 10, 64));
  ThreadPool pool(3);
  std::mutex mutex;
  Index rows = 0;
  detail::for_each_share(TrellisView(q.view()), pool, [&](RowRange share) {
    const std::scoped_lock lock(mutex);
    EXPECT_EQ(share.begin % TrellisGeometry::kPanelRows, 0);
    rows += share.size();
  });
  EXPECT_EQ(rows, 700);
}

}  // namespace
