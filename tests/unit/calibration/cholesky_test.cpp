#include <sinq/calibration/cholesky.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::Index;
using sinq::detail::factorize_cholesky;

/// B B^T + I, with rubbish in the upper triangle.
std::vector<double> positive_definite(Index size, std::uint64_t seed) {
  sinq::test::Random random(seed);
  std::vector<double> b(static_cast<std::size_t>(size * size)), out(b.size(), 1e300);
  for (double& x : b) x = random.gaussian();
  for (Index i = 0; i < size; ++i) {
    for (Index j = 0; j <= i; ++j) {
      double sum = i == j ? 1.0 : 0.0;
      for (Index k = 0; k < size; ++k) {
        sum += b[static_cast<std::size_t>(i * size + k)] * b[static_cast<std::size_t>(j * size + k)];
      }
      out[static_cast<std::size_t>(i * size + j)] = sum;
    }
  }
  return out;
}

TEST(Cholesky, TheFactorGivesTheMatrixBack) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const Index size : {1, 5, 63, 64, 65, 200}) {
      const auto a = positive_definite(size, 3);
      auto l = a;
      ASSERT_TRUE(factorize_cholesky(l.data(), size, isa, sinq::Serial{}));
      const auto at = [&](Index i, Index j) { return static_cast<std::size_t>(i * size + j); };
      for (Index i = 0; i < size; ++i) {
        for (Index j = 0; j < size; ++j) {
          if (j > i) {
            ASSERT_EQ(l[at(i, j)], 1e300) << "the upper triangle was written";
            continue;
          }
          double sum = 0.0;
          for (Index k = 0; k <= j; ++k) sum += l[at(i, k)] * l[at(j, k)];
          // Backward error: a few roundings per term.
          ASSERT_NEAR(sum, a[at(i, j)], 1e-15 * static_cast<double>(size) * std::sqrt(a[at(i, i)] * a[at(j, j)]));
        }
      }
    }
  }
}

TEST(Cholesky, IsTheSameForEveryNumberOfThreads) {
  const auto a = positive_definite(300, 4);
  auto serial = a, parallel = a;
  ASSERT_TRUE(factorize_cholesky(serial.data(), 300, sinq::Isa::kBest, sinq::Serial{}));
  ASSERT_TRUE(factorize_cholesky(parallel.data(), 300, sinq::Isa::kBest, sinq::ThreadPool(3)));
  EXPECT_TRUE(sinq::test::same_bytes(serial, parallel));
}

TEST(Cholesky, SaysWhatIsNotPositiveDefinite) {
  for (const Index bad : {0, 70, 129}) {
    auto a = positive_definite(130, 5);
    a[static_cast<std::size_t>(bad * 131)] = 0.0;
    EXPECT_FALSE(factorize_cholesky(a.data(), 130, sinq::Isa::kBest, sinq::Serial{})) << bad;
  }
}

}  // namespace
