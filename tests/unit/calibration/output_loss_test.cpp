#include <sinq/calibration/output_loss.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantize.hpp>

#include "calibration_support.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::ActivationStats;
using sinq::Index;
using sinq::Loss;
using sinq::StatsKind;
using sinq::detail::OutputLoss;
using sinq::test::activations;
using sinq::test::stats_of;
using sinq::test::TestMatrix;
using sinq::test::view;

TEST(OutputLoss, IsThatOfTheDefinition) {
  for (const double scale : {1.0, 1e-28, 1e28}) {
    const TestMatrix w = sinq::test::generators::mixed_scales(45, 52, 40).times(scale);
    const TestMatrix x = activations(99, 52, 41);
    const auto q = quantize(view(w), sinq::Config<>{.quantizer = {.bits = 3}, .group_size = 16});
    std::vector<float> decoded(w.values.size());
    dequantize_into(q, decoded);
    double magnitude = 0.0, channels = 0.0;
    for (Index r = 0; r < w.rows; ++r) {
      for (Index t = 0; t < x.rows; ++t) {
        double y = 0.0;
        for (Index c = 0; c < w.cols; ++c) {
          const auto at = static_cast<std::size_t>(r * w.cols + c);
          const double e = static_cast<double>(w.values[at]) - static_cast<double>(decoded[at]);
          y += e * static_cast<double>(x(t, c));
          channels += e * e * std::pow(static_cast<double>(x(t, c)), 2);
        }
        magnitude += std::abs(y);
      }
    }
    const auto outputs = static_cast<double>(w.rows * x.rows);
    const ActivationStats stats = stats_of(x), marginal = stats_of(x, StatsKind::kChannels);
    for (const sinq::Isa isa : sinq::test::supported_isas()) {
      const auto measure = [&](const ActivationStats& s, Loss loss) {
        return OutputLoss(view(w), s, loss, isa, sinq::Serial{}).measure(q, sinq::Serial{});
      };
      // Sums of 52 products in float.
      EXPECT_NEAR(measure(stats, Loss::kL2) / output_error(w, q, x), 1.0, 1e-5);
      EXPECT_NEAR(measure(marginal, Loss::kL2) / (channels / outputs), 1.0, 1e-5);
      EXPECT_NEAR(measure(stats, Loss::kL1) / (magnitude / outputs), 1.0, 1e-5);
    }
  }
}

TEST(OutputLoss, IsTheSameForEveryNumberOfThreads) {
  const TestMatrix w = sinq::test::generators::gaussian(130, 40, 42);
  const ActivationStats stats = stats_of(activations(60, 40, 43));
  const auto q = quantize(view(w), sinq::Config<>{});
  for (const Loss loss : {Loss::kL1, Loss::kL2}) {
    const OutputLoss measured(view(w), stats, loss, sinq::Isa::kBest, sinq::Serial{});
    EXPECT_EQ(measured.measure(q, sinq::Serial{}), measured.measure(q, sinq::ThreadPool(3)));
  }
}

}  // namespace
