#include "everything.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace {

TEST(Odr, FilesWithDifferentOptionsShareMatrices) {
  if (SINQ_X86 != 0 && !sinq::supported(sinq::Isa::kAvx2)) GTEST_SKIP() << "second.cpp is compiled for AVX2";
  std::vector<float> weights(48 * 100);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i * i % 1009));
  const auto w = sinq::MatrixView::row_major(weights.data(), 48, 100);

  // Made in one file, decoded in the other, freed in a third: no allocation may depend on the options.
  sinq::QuantizedMatrix first = kFirst.make(w);
  sinq::QuantizedMatrix second = kSecond.make(w);
  EXPECT_TRUE(std::ranges::equal(first.storage(), second.storage()));
  EXPECT_EQ(kFirst.decode(second), kSecond.decode(first));
  EXPECT_EQ(kFirst.decode(first), kSecond.decode(first));
  std::swap(first, second);
}

}  // namespace
