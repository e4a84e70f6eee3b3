#include <sinq/any_config.hpp>
#include <sinq/eigen.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::AnyConfig;
using sinq::Config;
using sinq::Errc;
using sinq::Identity;
using sinq::Index;
using sinq::QuantizedMatrix;
using sinq::Sinkhorn;
using sinq::test::same_bytes;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

template <class Q, class N>
void expect_same(const Config<Q, N>& config) {
  const TestMatrix w = sinq::test::generators::gaussian(70, 100, 1);
  const AnyConfig any = config;
  const QuantizedMatrix expected = quantize(view(w), config);
  EXPECT_TRUE(same_bytes(quantize(view(w), any).storage(), expected.storage()));
  EXPECT_TRUE(same_bytes(quantize(view(w), any, {}, sinq::ThreadPool(2)).storage(), expected.storage()));
  EXPECT_TRUE(layout_for(any, 70, 100) == layout_for(config, 70, 100));
  EXPECT_EQ(required_bytes(any, 70, 100), required_bytes(config, 70, 100));
  QuantizedMatrix into(layout_for(any, 70, 100));
  static_cast<void>(quantize_into(view(w), any, into.storage()));
  EXPECT_TRUE(same_bytes(into.storage(), expected.storage()));
}

TEST(AnyConfigTest, QuantizesAsWhatItHolds) {
  expect_same(Config<>{});
  expect_same(Config<sinq::Uniform, Identity>{.quantizer = {.bits = 3}, .group_size = 32});
  expect_same(Config<sinq::Hqq, Sinkhorn>{});
  expect_same(Config<sinq::Codebook, Sinkhorn>{.quantizer = sinq::codebooks::kNf4});
  expect_same(Config<sinq::Fitted, Identity>{.aux = sinq::AuxFormat::kU6});
  expect_same(Config<sinq::LearnedCodebook, Sinkhorn>{.quantizer = sinq::LearnedCodebook(2)});
}

TEST(AnyConfigTest, TakesEigenMatrices) {
  const sinq::RowMatrix w = sinq::RowMatrix::Random(64, 64);
  const AnyConfig any = Config<sinq::Fitted, Sinkhorn>{};
  EXPECT_TRUE(same_bytes(quantize(w, any).storage(), quantize(w, Config<sinq::Fitted, Sinkhorn>{}).storage()));
}

TEST(AnyConfigTest, RefusesWhatTheConfigRefuses) {
  const AnyConfig any = Config<sinq::Fitted, Sinkhorn>{.quantizer = {.bits = 9}};
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "bits 9"}, [&] { validate(any); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"Fitted", "bits 9"}, [&] { return layout_for(any, 8, 8); }));
}

}  // namespace
