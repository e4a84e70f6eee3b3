#include <sinq/calibration/awq.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "calibration_support.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using sinq::ActivationStats;
using sinq::AnyConfig;
using sinq::AwqReport;
using sinq::Config;
using sinq::Errc;
using sinq::Index;
using sinq::Loss;
using sinq::QuantizedMatrix;
using sinq::StatsKind;
using sinq::test::activations;
using sinq::test::stats_of;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

std::vector<float> stored_scales(const QuantizedMatrix& q) {
  std::vector<float> out(static_cast<std::size_t>(q.layout().row_blocks() * q.cols()));
  for (Index b = 0; b < q.layout().row_blocks(); ++b) {
    q.view().col_scales(b * q.layout().row_block, {0, q.cols()}, out.data() + b * q.cols());
  }
  return out;
}

std::vector<AnyConfig> awq_methods() {
  return {Config<>{.quantizer = {.bits = 4}, .group_size = 32},
          Config<>{.quantizer = {.bits = 3}, .group_size = 16, .tiling = sinq::Tiling::kSquare},
          Config<>{.quantizer = {.bits = 2}, .aux = sinq::AuxFormat::kU8},
          Config<>{.quantizer = {.bits = 4}, .aux = sinq::AuxFormat::kF32},
          Config<sinq::Codebook>{.quantizer = sinq::codebooks::kNf4},
          Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(3)},
          Config<sinq::Hqq>{.quantizer = {.bits = 3}}};
}

TEST(Awq, LowersTheLossAndNeverRaisesIt) {
  const TestMatrix w = sinq::test::generators::mixed_scales(70, 96, 50);
  const TestMatrix x = activations(100, 96, 51, 1.5);
  for (const AnyConfig& config : awq_methods()) {
    for (const StatsKind kind : {StatsKind::kGram, StatsKind::kChannels}) {
      for (const Loss loss : {Loss::kL1, Loss::kL2}) {
        AwqReport report;
        const QuantizedMatrix plain = quantize(view(w), config);
        const QuantizedMatrix q =
            quantize_awq(view(w), stats_of(x, kind), config, {.steps = 5, .loss = loss, .report = &report});
        ASSERT_EQ(report.losses.size(), 5U);
        const double least = *std::min_element(report.losses.begin(), report.losses.end());
        EXPECT_EQ(report.losses[static_cast<std::size_t>(std::lround(5.0 * report.alpha))], least);
        EXPECT_GT(report.alpha, 0.0);
        EXPECT_LT(output_error(w, q, x), 0.9 * output_error(w, plain, x)) << q.layout().bits << " bits";
        // Not a bit more, and nothing but the scale differs in format.
        sinq::Layout layout = q.layout();
        layout.matrix_scale = plain.layout().matrix_scale;
        EXPECT_EQ(layout, plain.layout());
      }
    }
  }
}

// Equal channels have nothing to gain by scales.
TEST(Awq, FlatActivationsKeepTheNormalizersScales) {
  const TestMatrix w = sinq::test::generators::mixed_scales(40, 64, 52);
  TestMatrix x(80, 64);
  sinq::test::Random random(53);
  for (float& value : x.values) value = random.bits() % 2 == 0 ? 1.0F : -1.0F;
  AwqReport report;
  const QuantizedMatrix q = quantize_awq(view(w), stats_of(x), {}, {.report = &report});
  EXPECT_EQ(report.alpha, 0.0);
  EXPECT_TRUE(sinq::test::same_bytes(q.storage(), quantize(view(w)).storage()));
}

TEST(Awq, StoredColumnScalesAreDividedByThePowerOfTheActivations) {
  const TestMatrix w = sinq::test::generators::mixed_scales(64, 96, 54);
  const TestMatrix x = activations(100, 96, 55, 1.5);
  const ActivationStats stats = stats_of(x);
  for (const AnyConfig& config : awq_methods()) {
    AwqReport report;
    const QuantizedMatrix plain = quantize(view(w), config);
    const QuantizedMatrix q = quantize_awq(view(w), stats, config, {.steps = 4, .report = &report});
    ASSERT_GT(report.alpha, 0.0);
    const std::vector<float> before = stored_scales(plain), after = stored_scales(q);
    double log_mean = 0.0;
    for (Index c = 0; c < 96; ++c) log_mean += std::log(stats.mean_abs(c)) / 96.0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double s = std::exp(report.alpha * (std::log(stats.mean_abs(static_cast<Index>(i) % 96)) - log_mean));
      const double expected = static_cast<double>(before[i]) / s;
      EXPECT_NEAR(static_cast<double>(after[i]), expected, 0x1p-11 * expected) << i;  // rounded to f16
    }
  }
}

TEST(Awq, CodesAreTheNearestUnderWhatIsStored) {
  const TestMatrix w = sinq::test::generators::mixed_scales(30, 64, 56);
  const TestMatrix x = activations(100, 64, 57, 1.5);
  AwqReport report;
  const QuantizedMatrix q = quantize_awq(view(w), stats_of(x), {}, {.report = &report});
  ASSERT_GT(report.alpha, 0.0);
  std::vector<float> decoded(w.values.size()), scale(1), col = stored_scales(q);
  dequantize_into(q, decoded);
  for (Index r = 0; r < 30; ++r) {
    q.view().group_scales(0, {r, r + 1}, scale.data());
    for (Index c = 0; c < 64; ++c) {
      const auto at = static_cast<std::size_t>(r * 64 + c);
      const auto step = static_cast<double>(scale[0] * col[static_cast<std::size_t>(c)] * q.layout().matrix_scale);
      // Half a step; the ends of the range are levels, but for the rounding of scales to f16.
      EXPECT_LT(std::abs(decoded[at] - w.values[at]), 0.52 * step);
    }
  }
}

TEST(Awq, IsTheSameForEveryNumberOfThreads) {
  const TestMatrix w = sinq::test::generators::mixed_scales(100, 128, 58);
  const ActivationStats stats = stats_of(activations(100, 128, 59, 1.5));
  for (const Loss loss : {Loss::kL1, Loss::kL2}) {
    const QuantizedMatrix serial = quantize_awq(view(w), stats, {}, {.steps = 4, .loss = loss});
    const sinq::ThreadPool pool(3);
    const QuantizedMatrix q = quantize_awq(view(w), stats, {}, {.steps = 4, .loss = loss}, {}, pool);
    EXPECT_TRUE(sinq::test::same_bytes(q.storage(), serial.storage()));
  }
}

// Dead channels must not take the range of column scales, and nothing else may break either.
TEST(Awq, TakesWhateverComes) {
  TestMatrix x = activations(50, 64, 60, 6.0);
  for (Index t = 0; t < x.rows; ++t) x(t, 3) = x(t, 63) = 0.0F;
  for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
    for (const auto& generator : *list) {
      const TestMatrix w = generator.make(32, 64, 61);
      const QuantizedMatrix q = quantize_awq(view(w), stats_of(x), {}, {.steps = 3});
      std::vector<float> decoded(w.values.size());
      dequantize_into(q, decoded);
      EXPECT_TRUE(sinq::test::all_finite(decoded)) << generator.name;
    }
  }
  const TestMatrix silence(4, 64), w = sinq::test::generators::gaussian(32, 64, 62);
  AwqReport report;
  static_cast<void>(quantize_awq(view(w), stats_of(silence), {}, {.report = &report}));
  EXPECT_EQ(report.alpha, 0.0);
}

// A gated matrix has no column scales: plain rounding, and nothing to search.
TEST(Awq, TheGateEndsTheSearch) {
  const TestMatrix w = sinq::test::generators::student_t(64, 128, 63);
  const auto config = reference_compatible(Config<>{});
  AwqReport report;
  const QuantizedMatrix q = quantize_awq(view(w), stats_of(activations(50, 128, 64)), config, {.report = &report});
  ASSERT_EQ(q.layout().col_scale, sinq::ColScaleKind::kNone);
  EXPECT_TRUE(report.losses.empty());
  EXPECT_TRUE(sinq::test::same_bytes(q.storage(), quantize(view(w), config).storage()));
}

TEST(Awq, RefusesByName) {
  const TestMatrix w = sinq::test::generators::gaussian(16, 32, 65);
  const ActivationStats stats = stats_of(activations(20, 32, 66));
  const Config<sinq::Uniform, sinq::Identity> identity;
  EXPECT_TRUE(
      throws_error(Errc::kBadConfig, {"column scales"}, [&] { return quantize_awq(view(w), stats, identity); }));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"column scales"},
                           [&] { return quantize_awq(view(w), stats, AnyConfig{identity}); }));
  for (const int steps : {0, -1, 1001}) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"steps", "1..1000"},
                             [&] { return quantize_awq(view(w), stats, {}, {.steps = steps}); }));
  }
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"awq", "24", "32"},
                           [&] { return quantize_awq(view(w), stats_of(activations(20, 24, 1))); }));
  EXPECT_TRUE(
      throws_error(Errc::kBadData, {"awq", "no tokens"}, [&] { return quantize_awq(view(w), ActivationStats(32)); }));
  ActivationStats unkept(32, StatsKind::kGram, 0);
  unkept.add(view(activations(20, 32, 66)));
  EXPECT_TRUE(throws_error(Errc::kBadData, {"kL1", "max_samples"}, [&] { return quantize_awq(view(w), unkept); }));
  EXPECT_NO_THROW(static_cast<void>(quantize_awq(view(w), unkept, {}, {.steps = 2, .loss = Loss::kL2})));
}

}  // namespace
