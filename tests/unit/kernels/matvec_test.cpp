#include <sinq/kernels/matvec.hpp>

#include "dot_list.hpp"
#include "random_matrix.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

static_assert(!noexcept(matvec(std::declval<const QuantizedView&>(), std::declval<const ScaledInput&>(), RowRange{},
                               std::span<float>{})),
              "broken preconditions are named, in every build");

/// One broken precondition after the other; y stays as it was.
template <class W>
void refuses_broken_preconditions(const W& w, const W& wider) {
  ScaledInput in, batch, other;
  std::vector<float> y(40, -5.0F);
  const auto refused = [&](std::initializer_list<std::string_view> words, const ScaledInput& x, RowRange rows,
                           std::size_t size) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, words, [&] { matvec(w, x, rows, std::span(y).first(size)); }));
    for (const float value : y) ASSERT_EQ(value, -5.0F);
  };
  refused({"matvec", "never assigned"}, in, {0, 40}, 40);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"columns"}, [&] { in.assign(w, gaussian(65)); }));
  refused({"matvec", "never assigned"}, in, {0, 40}, 40);
  in.assign(w, gaussian(64));
  other.assign(wider, gaussian(128));
  batch.assign(w, Activations(gaussian(128).data(), 2, 64));
  refused({"matvec", "128 columns", "64"}, other, {0, 40}, 40);
  refused({"matvec", "rows [0, 41)", "40 rows"}, in, {0, 41}, 40);
  refused({"matvec", "rows [-1, 3)"}, in, {-1, 3}, 40);
  refused({"matvec", "rows [4, 3)"}, in, {4, 3}, 40);
  refused({"matvec", "y has 39", "40"}, in, {0, 40}, 39);
  refused({"matvec", "batch of 2", "matmul"}, batch, {0, 40}, 40);
  matvec(w, in, {0, 40}, y);
  EXPECT_NE(y[39], -5.0F);
}

TEST(Matvec, NamesBrokenPreconditionsInEveryBuild) {
  const QuantizedMatrix q = random_matrix(make_layout(40, 64, 4, 64)),
                        wider = random_matrix(make_layout(40, 128, 4, 64));
  refuses_broken_preconditions(q, wider);
  refuses_broken_preconditions(q.view(), wider.view());
  refuses_broken_preconditions(repack(q), repack(wider));
  std::vector<float> y(40);
  const std::vector<float> x = gaussian(64);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"no rows"}, [&] { matvec(QuantizedView(), x, std::span(y).first(0)); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"no rows"}, [&] { matvec(RepackedView(), x, std::span(y).first(0)); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"rows 0"}, [&] { matvec(QuantizedMatrix(), x, std::span(y).first(0)); }));
}

/// q, k and v of the same shape, each with column scales of its own.
TEST(Matvec, RefusesAnInputThatWasAssignedForAnotherMatrix) {
  const Layout layout = make_layout(40, 128, 4, 64);
  const QuantizedMatrix q = random_matrix(layout, 1), k = random_matrix(layout, 2);
  const RepackedMatrix packed_q = repack(q), packed_k = repack(k);
  std::vector<float> y(40);
  ScaledInput in;
  for (const Precision precision : kPrecisions) {
    in.assign(q, gaussian(128), precision);
    matvec(packed_q, in, {0, 40}, y);
    const std::initializer_list<std::string_view> words = {"matvec", "another matrix", "scale of column"};
    EXPECT_TRUE(throws_error(Errc::kBadShape, words, [&] { matvec(k, in, {0, 40}, y); }));
    EXPECT_TRUE(throws_error(Errc::kBadShape, words, [&] { matvec(packed_k, in, {3, 4}, y); }));
  }
}

/// The way to share: quantized as one matrix, whose row slices have the same column scales.
TEST(Matvec, RowSlicesOfOneMatrixShareAnInput) {
  const QuantizedMatrix qkv = random_matrix(make_layout(96, 128, 4, 64));
  const std::vector<float> x = gaussian(128);
  std::vector<float> all(96), y(32), z(32);
  matvec(qkv, x, all);
  ScaledInput in;
  for (const Index first : {0, 32, 64}) {
    const QuantizedView slice = qkv.view().row_slice({first, first + 32});
    const RepackedMatrix packed = repack(slice);
    if (first == 0) in.assign(packed, x);
    matvec(slice, in, {0, 32}, y);
    matvec(packed, in, {0, 32}, z);
    const auto want = std::span(all).subspan(static_cast<std::size_t>(first), 32);
    EXPECT_TRUE(std::equal(y.begin(), y.end(), want.begin()));
    EXPECT_TRUE(all_near(z, want, 1e-5, 1e-5));
  }
}

template <class View>
void check_view(const View& view, const Expected& want, const float* x, const std::string& what) {
  for (const Precision precision : kPrecisions) {
    ScaledInput in;
    in.assign(view, Activations(x, 1, view.cols()), precision);
    for (const DotKind kind : supported_dots()) {
      std::vector<float> y(static_cast<std::size_t>(view.rows()), -1000.0F);
      detail::multiply_vector(view, in, {0, view.rows()}, {y.data(), 0, Output::kOverwrite}, kind);
      for (Index r = 0; r < view.rows(); ++r) {
        const auto at = static_cast<std::size_t>(r);
        ASSERT_NEAR(y[at], want.y[at], want.bound(precision, r))
            << what << " " << name(kind) << " precision " << static_cast<int>(precision) << " row " << r;
      }
    }
  }
}

/// Every kernel and precision, both layouts, against double precision.
void check(const Layout& layout, std::uint32_t seed = 1) {
  const QuantizedMatrix q = random_matrix(layout, seed);
  const std::vector<float> x = gaussian(layout.cols, seed + 100);
  const Expected want = Decoded(q.view()).times(x.data());
  check_view(q.view(), want, x.data(), describe(layout) + " row-major");
  if (!can_repack(layout)) return;
  const RepackedMatrix m = repack(q.view());
  check_view(m.view(), want, x.data(), describe(layout) + " interleaved");
}

class MatvecBits : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Bits, MatvecBits, testing::Range(1, 9));

TEST_P(MatvecBits, AgreesWithDoubleForEveryFormat) {
  for (const Index group : {8, 16, 24, 32, 40, 64, 128, 264, 512, 1000}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
      for (const OffsetKind offset : {OffsetKind::kShared, OffsetKind::kZeroPoint}) {
        for (const bool has_levels : {false, true}) {
          Layout layout = make_layout(19, 600, GetParam(), group);
          layout.aux = aux;
          layout.offset = offset;
          layout.level_count = has_levels ? Index{1} << GetParam() : 0;
          layout.shared_zero_point = has_levels ? 0.25F : 1.5F;
          check(layout);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST_P(MatvecBits, AgreesWithDoubleForOddShapes) {
  for (const Index group : {8, 32, 64, 96}) {
    for (const Index cols : {1, 3, 7, 8, 9, 31, 33, 63, 64, 65, 100, 191, 257, 449}) {
      for (const Index rows : {1, 2, 15, 16, 17, 33, 70}) {
        check(make_layout(rows, cols, GetParam(), group));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Matvec, AgreesWithDoubleForSquareTiles) {
  for (const Index row_block : {1, 5, 16, 24, 32, 50}) {
    for (const int bits : {3, 4}) {
      Layout layout = make_layout(50, 200, bits, 64);
      layout.row_block = row_block;
      check(layout);
    }
  }
}

TEST(Matvec, AgreesWithDoubleWithoutColumnScales) {
  Layout layout = make_layout(40, 200, 4, 64);
  layout.col_scale = ColScaleKind::kNone;
  check(layout);
}

/// Whoever has no TrellisView multiplies decoded tiles.
TEST(Matvec, AgreesWithDoubleForATrellisAsAPlainView) {
  for (const int quarter_bits : {6, 9, 10, 16, 18}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kU6}) {
      Layout layout = make_trellis_layout(135, 203, quarter_bits, 48);
      layout.aux = aux;
      check(layout);
      layout.row_block = 128;
      check(layout);
    }
  }
}

TEST(Matvec, RunsOnWindows) {
  Layout layout = make_layout(150, 300, 3, 64);
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kU8, AuxFormat::kU6}) {
    for (const Index row_block : {150, 32}) {
      layout.aux = aux;
      layout.row_block = row_block;
      const QuantizedMatrix q = random_matrix(layout);
      for (const RowRange rows : {RowRange{0, 150}, RowRange{64, 150}, RowRange{5, 22}, RowRange{149, 150}}) {
        for (const ColRange cols : {ColRange{0, 64}, ColRange{64, 300}, ColRange{128, 192}}) {
          const QuantizedView view = q.view().row_slice(rows).col_slice(cols);
          const std::vector<float> x = gaussian(view.cols());
          check_view(view, Decoded(view).times(x.data()), x.data(), describe(layout) + " window");
          if (rows.begin % 64 != 0) continue;
          const RepackedMatrix m = repack(view);
          check_view(m.view(), Decoded(view).times(x.data()), x.data(), describe(layout) + " repacked window");
        }
      }
    }
  }
}

TEST(Matvec, RunsOnWindowsOfATrellisAsAPlainView) {
  const QuantizedMatrix q = random_matrix(make_trellis_layout(300, 512, 10, 16));
  for (const RowRange rows : {RowRange{0, 300}, RowRange{128, 300}, RowRange{256, 300}}) {
    for (const ColRange cols : {ColRange{0, 64}, ColRange{64, 512}, ColRange{160, 336}}) {
      const QuantizedView view = q.view().row_slice(rows).col_slice(cols);
      const std::vector<float> x = gaussian(view.cols());
      check_view(view, Decoded(view).times(x.data()), x.data(), describe(q.layout()) + " window");
    }
  }
}

/// Copies of a matrix's regions in buffers of exactly their size, at addresses that are no more aligned than `offset`.
struct Scattered {
  std::vector<std::vector<std::byte>> buffers;
  std::vector<const std::byte*> regions;

  void add(const std::byte* data, Index size, Index offset) {
    auto& buffer = buffers.emplace_back(static_cast<std::size_t>(size + offset));
    if (size != 0) std::memcpy(buffer.data() + offset, data, static_cast<std::size_t>(size));
    regions.push_back(size == 0 ? nullptr : buffer.data() + offset);
  }
};

TEST(Matvec, ReadsNothingBeyondTheRegionsAtAnyAddress) {
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
      Layout layout = make_layout(21, 333, bits, 64);
      layout.aux = aux;
      layout.level_count = bits == 3 ? 8 : 0;
      const QuantizedMatrix q = random_matrix(layout);
      const std::vector<float> x = gaussian(layout.cols);
      const Expected want = Decoded(q.view()).times(x.data());
      for (const Index offset : {0, 1, 3, 13}) {
        Scattered rows;
        for (int i = 0; i < kRegionCount; ++i) {
          const auto region = static_cast<Region>(i);
          // Codes may start anywhere, numbers where their type may.
          rows.add(q.view().region(region), region_bytes(layout, region),
                   region == Region::kCodes ? offset : 4 * offset);
        }
        const std::byte* regions[kRegionCount];
        std::copy(rows.regions.begin(), rows.regions.end(), regions);
        check_view(QuantizedView(layout, regions), want, x.data(), describe(layout) + " scattered");

        const RepackedMatrix m = repack(q.view());
        Scattered panels;
        for (int i = 0; i < kPanelRegionCount; ++i) {
          const auto region = static_cast<PanelRegion>(i);
          panels.add(m.view().region(region), panel_region_bytes(layout, region), 4 * offset);
        }
        const std::byte* panel_regions[kPanelRegionCount];
        std::copy(panels.regions.begin(), panels.regions.end(), panel_regions);
        check_view(RepackedView(layout, panel_regions), want, x.data(), describe(layout) + " scattered panels");
      }
    }
  }
}

TEST(Matvec, EveryRowRangeGivesTheSameBits) {
  std::vector<Layout> layouts = {make_layout(37, 130, 4, 64), make_layout(37, 130, 4, 64)};
  layouts[1].row_block = 10;
  for (const Layout& layout : layouts) {
    const QuantizedMatrix q = random_matrix(layout);
    const RepackedMatrix m = repack(q.view());
    const std::vector<float> x = gaussian(layout.cols);
    const auto every_range = [&](const auto& view, DotKind kind, Precision precision) {
      ScaledInput in;
      in.assign(view, x, precision);
      std::vector<float> all(37);
      detail::multiply_vector(view, in, {0, 37}, {all.data(), 0, Output::kOverwrite}, kind);
      for (Index begin = 0; begin <= 37; ++begin) {
        for (Index end = begin; end <= 37; ++end) {
          std::vector<float> y(37, -5.0F);
          detail::multiply_vector(view, in, {begin, end}, {y.data(), 0, Output::kOverwrite}, kind);
          detail::multiply_vector(view, in, {begin, end}, {y.data(), 0, Output::kAccumulate}, kind);
          for (Index r = 0; r < 37; ++r) {
            const auto at = static_cast<std::size_t>(r);
            const bool inside = r >= begin && r < end;
            ASSERT_EQ(y[at], inside ? all[at] + all[at] : -5.0F) << begin << ".." << end << " row " << r;
          }
        }
      }
    };
    for (const DotKind kind : supported_dots()) {
      for (const Precision precision : kPrecisions) {
        every_range(q.view(), kind, precision);
        every_range(m.view(), kind, precision);
      }
    }
  }
}

/// Relative distance of the integer forms from the float kernel, over all rows.
double distance(const RepackedView& view, const std::vector<float>& x, Precision precision) {
  std::vector<float> exact(static_cast<std::size_t>(view.rows())), y(exact.size());
  matvec(view, x, exact, Precision::kFloat);
  matvec(view, x, y, precision);
  double error = 0.0, norm = 0.0;
  for (std::size_t r = 0; r < y.size(); ++r) {
    error += std::pow(static_cast<double>(y[r]) - static_cast<double>(exact[r]), 2);
    norm += std::pow(static_cast<double>(exact[r]), 2);
  }
  return std::sqrt(error / norm);
}

TEST(Matvec, IntegerActivationsStayWithinTheirBoundOnGaussianInput) {
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
    for (const bool has_levels : {false, true}) {
      Layout layout = make_layout(512, 1024, bits, 64);
      layout.level_count = has_levels ? Index{1} << bits : 0;
      if (has_levels) layout.offset = OffsetKind::kShared;
      const QuantizedMatrix q = random_matrix(layout);
      const RepackedMatrix m = repack(q.view());
      const std::vector<float> x = gaussian(layout.cols);
      EXPECT_LT(distance(m.view(), x, Precision::kInt8), 1e-2) << describe(layout);
      EXPECT_LT(distance(m.view(), x, Precision::kInt15), 1e-4) << describe(layout);
    }
  }
}

TEST(Matvec, AnOutlierCostsItsOwnBlockOnly) {
  // One activation 100 times the others takes the int8 steps of its block: 64 of 1024 columns then have a step of
  // 100 / 127 instead of 3 / 127, an error of 0.23 in each, so 0.23 * sqrt(64) against a result dominated by the
  // outlier's 100: under 3%.
  const QuantizedMatrix q = random_matrix(make_layout(512, 1024, 4, 64));
  const RepackedMatrix m = repack(q.view());
  std::vector<float> x = gaussian(1024);
  x[200] = 100.0F;
  EXPECT_LT(distance(m.view(), x, Precision::kInt8), 3e-2);
  EXPECT_LT(distance(m.view(), x, Precision::kInt15), 3e-4);
}

TEST(Matvec, NotANumberReachesEveryResultOfItsBlock) {
  const QuantizedMatrix q = random_matrix(make_layout(20, 128, 4, 64));
  const RepackedMatrix m = repack(q.view());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const Precision precision : {Precision::kInt15, Precision::kInt8}) {
      std::vector<float> x = gaussian(128), y(20);
      x[70] = bad;
      matvec(m.view(), x, y, precision);
      for (const float v : y) EXPECT_TRUE(std::isnan(v));
      matvec(q.view(), x, y, precision);
      for (const float v : y) EXPECT_TRUE(std::isnan(v));
    }
  }
}

TEST(Matvec, ZerosAndTinyNumbersGiveZero) {
  const QuantizedMatrix q = random_matrix(make_layout(20, 128, 4, 64));
  for (const Precision precision : kPrecisions) {
    for (const float value : {0.0F, 1e-44F}) {
      std::vector<float> x(128, value), y(20, 1.0F);
      matvec(q.view(), x, y, precision);
      for (const float v : y) EXPECT_NEAR(v, 0.0F, 1e-38F);
    }
  }
}

/// Runs tasks in reverse order.
struct Backwards {
  Index concurrency() const { return 2; }
  template <class Task>
  void run(Index count, Task&& task) const {
    for (Index i = count; i-- > 0;) task(i, i % 2);
  }
};

TEST(Matvec, ExecutorsSplitRowsWithoutChangingBits) {
  const QuantizedMatrix q = random_matrix(make_layout(700, 256, 4, 64));
  const RepackedMatrix m = repack(q);
  const std::vector<float> x = gaussian(256);
  std::vector<float> serial(700), split(700);
  for (const Precision precision : kPrecisions) {
    matvec(m, x, serial, precision);
    matvec(m, x, split, precision, Backwards{});
    EXPECT_EQ(serial, split);
    matvec(q, x, serial, precision);
    matvec(q, x, split, precision, Backwards{});
    EXPECT_EQ(serial, split);
  }
}

TEST(Matvec, RefusesWrongSizes) {
  const QuantizedMatrix q = random_matrix(make_layout(16, 64, 4, 64));
  std::vector<float> x(63), y(16);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"63", "64"}, [&] { matvec(q.view(), x, y); }));
  x.resize(64);
  y.resize(15);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"15", "16"}, [&] { matvec(q.view(), x, y); }));
}

}  // namespace
