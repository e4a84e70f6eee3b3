#include <sinq/dequantize.hpp>

#include "every_dot.hpp"
#include "random_matrix.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SINQ_TEST_IS_SLOW
#endif
#endif
#if !defined(NDEBUG) || !defined(__OPTIMIZE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SINQ_TEST_IS_SLOW
#endif

template <class F>
double seconds_of(F&& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Speed of a row-major product in terms of `dequantize`'s, each the fastest of some runs in turn.
double relative_speed(const Layout& layout) {
  const QuantizedMatrix q = random_matrix(layout);
  const QuantizedView view = q.view();
  std::vector<float> decoded(static_cast<std::size_t>(layout.rows * layout.cols)),
      y(static_cast<std::size_t>(layout.rows));
  ScaledInput in;
  in.assign(view, gaussian(layout.cols));
  double product = 1e9, dequantized = 1e9;
  for (int i = 0; i < 12; ++i) {
    dequantized = std::min(dequantized, seconds_of([&] { dequantize_into(view, decoded); }));
    product =
        std::min(product, seconds_of([&] {
                   matvec_with(supported_dots().back(), view, in, {0, layout.rows}, {y.data(), 0, Output::kOverwrite});
                 }));
  }
  return dequantized / product;
}

TEST(RowMajorSpeed, IsAQuarterOfDequantizeInEveryFormat) {
#ifdef SINQ_TEST_IS_SLOW
  GTEST_SKIP() << "a build for other things than speed";
#endif
  std::vector<Layout> layouts;
  for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
    for (const Index levels : {Index{0}, Index{1} << bits}) {
      layouts.push_back(make_layout(128, 1024, bits, 64));
      layouts.back().level_count = levels;
    }
  }
  for (const int dim : {2, 4, 8}) {
    for (const int bits : {4, 8, 9, 12}) {
      Layout layout = make_vector_layout(128, 1024, bits, 64);
      layout.vector_dim = dim;
      layouts.push_back(layout);
      layout.signs = SignStorage::kInLevels;
      layouts.push_back(layout);
    }
  }
  for (const Layout& layout : layouts) EXPECT_GE(relative_speed(layout), 0.25) << describe(layout);
}

}  // namespace
