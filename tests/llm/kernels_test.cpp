#include "llm/kernels.hpp"

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace llm::test {
namespace {

constexpr double kFloatEpsilon = 0x1p-24;

std::vector<float> gaussian(Index count, double deviation, std::uint64_t seed) {
  sinq::test::Random random(seed);
  std::vector<float> out;
  for (Index i = 0; i < count; ++i) out.push_back(static_cast<float>(deviation * random.gaussian()));
  return out;
}

class KernelsTest : public testing::TestWithParam<sinq::Isa> {
 protected:
  const Kernels& k = kernels(GetParam());
};

TEST_P(KernelsTest, MultipliesEveryShape) {
  for (const Index outputs : {1, 31, 32, 33, 70, 96}) {
    for (const Index inputs : {1, 7, 256, 300, 520}) {
      const std::vector<float> weights = gaussian(outputs * inputs, 1, 1);
      PackedMatrix by_output(outputs, inputs), by_input(outputs, inputs);
      for (Index o = 0; o < outputs; ++o) by_output.set_output(o, weights.data() + o * inputs);
      for (Index i = 0; i < inputs; ++i) {
        std::vector<float> column;
        for (Index o = 0; o < outputs; ++o) column.push_back(weights[static_cast<std::size_t>(o * inputs + i)]);
        by_input.set_input(i, column.data());
      }
      for (const Index rows : {1, 2, 3, 12, 13, 61}) {
        const Index x_stride = inputs + 3, y_stride = outputs + 5;
        const std::vector<float> x = gaussian(rows * x_stride, 1, 2);
        std::vector<float> y(static_cast<std::size_t>(rows * y_stride), -7.0F), other = y;
        k.multiply(by_output, outputs, inputs, x.data(), x_stride, rows, y.data(), y_stride);
        k.multiply(by_input, outputs, inputs, x.data(), x_stride, rows, other.data(), y_stride);
        ASSERT_EQ(y, other);
        for (Index r = 0; r < rows; ++r) {
          for (Index o = 0; o < y_stride; ++o) {
            const float actual = y[static_cast<std::size_t>(r * y_stride + o)];
            if (o >= outputs) {
              ASSERT_EQ(actual, -7.0F) << "written beyond the outputs";
              continue;
            }
            double sum = 0, magnitude = 0;
            for (Index i = 0; i < inputs; ++i) {
              const double term = static_cast<double>(x[static_cast<std::size_t>(r * x_stride + i)]) *
                                  static_cast<double>(weights[static_cast<std::size_t>(o * inputs + i)]);
              sum += term;
              magnitude += std::fabs(term);
            }
            // At most `inputs` + 1 roundings of a partial sum, none larger than the sum of magnitudes.
            ASSERT_NEAR(actual, sum, static_cast<double>(inputs + 1) * kFloatEpsilon * magnitude);
          }
        }
      }
    }
  }
}

TEST_P(KernelsTest, MultipliesPartsOfTheMatrix) {
  const std::vector<float> weights = gaussian(Index{64} * 40, 1, 3), x = gaussian(40, 1, 4);
  PackedMatrix w(64, 40), part(45, 27);
  for (Index o = 0; o < 64; ++o) w.set_output(o, weights.data() + o * 40);
  for (Index o = 0; o < 45; ++o) part.set_output(o, weights.data() + o * 40);
  std::vector<float> actual(45), expected(45);
  k.multiply(w, 45, 27, x.data(), 40, 1, actual.data(), 45);
  k.multiply(part, 45, 27, x.data(), 40, 1, expected.data(), 45);
  EXPECT_EQ(actual, expected);
}

TEST_P(KernelsTest, Softmax) {
  for (const Index count : {1, 2, 15, 16, 17, 100}) {
    std::vector<float> scores = gaussian(count, 20, 5);
    const std::vector<float> before = scores;
    k.softmax(scores.data(), count, 0.25F);
    double total = 0, most = -1e300;
    for (const float s : before) most = std::max(most, 0.25 * static_cast<double>(s));
    for (const float s : before) total += std::exp(0.25 * static_cast<double>(s) - most);
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double expected = std::exp(0.25 * static_cast<double>(before[i]) - most) / total;
      // 2 ulp of the exponential, of an argument that is itself rounded at a size of up to 20; the sum adds as much.
      EXPECT_NEAR(scores[i], expected, (20 + 8) * 2 * kFloatEpsilon * expected + 1e-37);
    }
  }
}

TEST_P(KernelsTest, Swiglu) {
  for (const Index count : {1, 16, 37}) {
    std::vector<float> gate = gaussian(count, 5, 6);
    gate[0] = -200.0F;  // beyond what e^-x can hold
    const std::vector<float> before = gate, up = gaussian(count, 1, 7);
    k.swiglu(gate.data(), up.data(), count);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const double g = static_cast<double>(before[i]);
      const double expected = g / (1 + std::exp(-g)) * static_cast<double>(up[i]);
      EXPECT_NEAR(gate[i], expected, (20 + 8) * kFloatEpsilon * std::fabs(expected) + 1e-30);
    }
  }
}

TEST_P(KernelsTest, LogitSums) {
  for (const Index count : {2, 16, 37, 2048}) {
    const std::vector<float> a = gaussian(count, 4, 8);
    std::vector<float> b = gaussian(count, 0.3, 9);
    for (std::size_t i = 0; i < b.size(); ++i) b[i] += a[i] + 3.0F;
    double sum_a = 0, sum_b = 0, divergence = 0;
    for (const float v : a) sum_a += std::exp(static_cast<double>(v));
    for (const float v : b) sum_b += std::exp(static_cast<double>(v));
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double log_p = static_cast<double>(a[i]) - std::log(sum_a);
      divergence += std::exp(log_p) * (log_p - (static_cast<double>(b[i]) - std::log(sum_b)));
    }
    const LogitSums sums = k.compare_logits(a.data(), b.data(), count);
    // Each sum rounds count / lanes times at most relative to itself, and logs turn that into an absolute error.
    const double tolerance = static_cast<double>(count) / 4 * kFloatEpsilon + 16 * kFloatEpsilon;
    EXPECT_NEAR(sums.baseline_log_sum_exp, std::log(sum_a), tolerance);
    EXPECT_NEAR(sums.log_sum_exp, std::log(sum_b), tolerance);
    EXPECT_NEAR(sums.divergence, divergence, 3 * tolerance);
    EXPECT_NEAR(k.log_sum_exp(b.data(), count), std::log(sum_b), tolerance);
    EXPECT_EQ(k.compare_logits(a.data(), a.data(), count).divergence, 0.0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, KernelsTest, testing::ValuesIn(sinq::test::supported_isas()),
                         [](const auto& test) { return std::string(sinq::name(test.param)); });

}  // namespace
}  // namespace llm::test
