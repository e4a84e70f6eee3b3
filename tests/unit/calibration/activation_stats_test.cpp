#include <sinq/calibration/activation_stats.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "calibration_support.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

namespace {

using sinq::ActivationStats;
using sinq::Errc;
using sinq::Index;
using sinq::StatsKind;
using sinq::test::activations;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

/// Rows [begin, end).
TestMatrix part(const TestMatrix& x, Index begin, Index end) {
  TestMatrix out(end - begin, x.cols);
  std::copy(x.values.begin() + begin * x.cols, x.values.begin() + end * x.cols, out.values.begin());
  return out;
}

/// Sums of products of floats in double: rounding alone, in whatever order.
void expect_same(const ActivationStats& a, const ActivationStats& b) {
  ASSERT_EQ(a.cols(), b.cols());
  EXPECT_EQ(a.tokens(), b.tokens());
  for (Index i = 0; i < a.cols(); ++i) {
    EXPECT_NEAR(a.mean_abs(i), b.mean_abs(i), 1e-13 * b.mean_abs(i));
    EXPECT_NEAR(a.mean_square(i), b.mean_square(i), 1e-13 * b.mean_square(i));
    for (Index j = 0; j < a.cols(); ++j) {
      EXPECT_NEAR(a.gram(i, j), b.gram(i, j), 1e-13 * std::sqrt(b.gram(i, i) * b.gram(j, j))) << i << ", " << j;
    }
  }
  ASSERT_EQ(a.sample_count(), b.sample_count());
  for (Index i = 0; i < a.sample_count(); ++i) EXPECT_TRUE(sinq::test::same_bytes(a.sample(i), b.sample(i)));
}

// Sizes that no tile, vector or block divides.
TEST(ActivationStats, AreThoseOfTheDefinition) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const Index cols : {1, 7, 64, 133}) {
      for (const Index tokens : {1, 3, 128, 301}) {
        const TestMatrix x = activations(tokens, cols, 5);
        ActivationStats stats(cols);
        stats.add(view(x), sinq::Serial{}, isa);
        ASSERT_EQ(stats.tokens(), tokens);
        for (Index i = 0; i < cols; ++i) {
          double magnitude = 0.0;
          std::vector<double> products(static_cast<std::size_t>(cols));
          for (Index t = 0; t < tokens; ++t) {
            magnitude += std::abs(static_cast<double>(x(t, i)));
            for (Index j = 0; j < cols; ++j) {
              products[static_cast<std::size_t>(j)] += static_cast<double>(x(t, i)) * static_cast<double>(x(t, j));
            }
          }
          const double square = products[static_cast<std::size_t>(i)];
          EXPECT_NEAR(stats.mean_abs(i), magnitude / static_cast<double>(tokens), 1e-13 * magnitude);
          EXPECT_NEAR(stats.mean_square(i), square / static_cast<double>(tokens), 1e-13 * square);
          for (Index j = 0; j < cols; ++j) {
            const double limit = 1e-13 * std::sqrt(stats.gram(i, i) * stats.gram(j, j));
            ASSERT_NEAR(stats.gram(i, j), products[static_cast<std::size_t>(j)], limit) << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST(ActivationStats, BatchesAndMergesGiveTheStatisticsOfAll) {
  const TestMatrix x = activations(500, 24, 6);
  const ActivationStats all = sinq::test::stats_of(x);
  ActivationStats batches(24), first(24), second(24);
  for (Index t = 0; t < 500; t += 77) batches.add(view(part(x, t, std::min<Index>(t + 77, 500))));
  expect_same(batches, all);
  first.add(view(part(x, 0, 123)));
  second.add(view(part(x, 123, 500)));
  ActivationStats forward = first, backward = second;
  forward.merge(second);
  backward.merge(first);
  expect_same(forward, all);
  expect_same(backward, all);
}

TEST(ActivationStats, AreTheSameForEveryNumberOfThreads) {
  const TestMatrix x = activations(200, 150, 7);
  const ActivationStats serial = sinq::test::stats_of(x);
  for (const Index threads : {2, 3}) {
    ActivationStats stats(150);
    stats.add(view(x), sinq::ThreadPool(threads));
    for (Index i = 0; i < 150; ++i) {
      for (Index j = 0; j <= i; ++j) ASSERT_EQ(stats.gram(i, j), serial.gram(i, j));
    }
  }
}

TEST(ActivationStats, KeepDifferentRowsAsTheyCame) {
  TestMatrix x = activations(1000, 3, 8);
  // Every text begins alike.
  for (Index t = 0; t < 900; ++t) std::copy_n(x.values.begin(), 3, x.values.begin() + 3 * t);
  std::set<std::vector<float>> rows;
  for (Index t = 0; t < 1000; ++t) rows.insert({x(t, 0), x(t, 1), x(t, 2)});
  for (const Index most : {0, 1, 50, 500}) {
    ActivationStats stats(3, StatsKind::kChannels, most);
    stats.add(view(x));
    EXPECT_EQ(stats.sample_count(), std::min<Index>(most, 101));
    for (Index i = 0; i < stats.sample_count(); ++i) {
      const auto row = stats.sample(i);
      EXPECT_EQ(rows.count({row.begin(), row.end()}), 1U);
    }
  }
}

TEST(ActivationStats, RefuseByName) {
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"cols", "0"}, [] { ActivationStats(0); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"max_samples", "-1"}, [] { ActivationStats(4, StatsKind::kGram, -1); }));
  ActivationStats stats(16), other(16, StatsKind::kChannels);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"15", "16"}, [&] { stats.add(view(activations(4, 15, 1))); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"15", "16"}, [&] { stats.merge(ActivationStats(15)); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"kGram", "kChannels"}, [&] { stats.merge(other); }));
  stats.add(view(activations(3, 16, 2)));
  const ActivationStats before = stats;
  const TestMatrix x = activations(3, 16, 2);
  const sinq::MatrixView forgotten{.rows = 3, .cols = 16, .data = x.values.data()};
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"row_stride is 0"}, [&] { stats.add(forgotten); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"kChannels"}, [&] { static_cast<void>(other.gram(0, 0)); }));
  expect_same(stats, before);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    TestMatrix y = activations(300, 16, 3);
    y(257, 11) = bad;
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[257, 11]", bad != bad ? "nan" : "-inf"}, [&] { stats.add(view(y)); }));
    expect_same(stats, before);
  }
}

}  // namespace
