#include <sinq/calibration/gptq.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/trellis.hpp>

#include "calibration_support.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using sinq::ActivationStats;
using sinq::AuxFormat;
using sinq::ColumnOrder;
using sinq::Config;
using sinq::Errc;
using sinq::Index;
using sinq::QuantizedMatrix;
using sinq::Region;
using sinq::Trellis;
using sinq::test::Random;
using sinq::test::stats_of;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

Config<Trellis> config_of(double rate, Index group_size = 64, AuxFormat aux = AuxFormat::kU6) {
  return {.quantizer = {.rate = rate, .rounds = 2, .iterations = 0}, .group_size = group_size, .aux = aux};
}

/// Activations that a few hidden causes make, as in real layers: far columns depend on each other as much as
/// neighbours.
TestMatrix caused_activations(Index tokens, Index cols, std::uint64_t seed) {
  constexpr Index kCauses = 16;
  Random random(seed);
  std::vector<double> mixture(static_cast<std::size_t>(kCauses * cols)), cause(kCauses);
  for (double& x : mixture) x = random.gaussian();
  TestMatrix out(tokens, cols);
  for (Index t = 0; t < tokens; ++t) {
    for (double& x : cause) x = random.gaussian();
    for (Index c = 0; c < cols; ++c) {
      double x = random.gaussian();
      for (Index k = 0; k < kCauses; ++k) {
        x += 0.5 * cause[static_cast<std::size_t>(k)] * mixture[static_cast<std::size_t>(k * cols + c)];
      }
      out(t, c) = static_cast<float>(x);
    }
  }
  return out;
}

TEST(TrellisBlocksTest, LowerTheOutputsError) {
  struct Case {
    double rate;
    Index rows, cols, group_size;
    AuxFormat aux;
  };
  // Ragged in rows, columns and groups; one block of lines; groups that commits do not divide.
  for (const Case& c : {Case{2.5, 200, 256, 64, AuxFormat::kU6}, Case{2.0, 128, 150, 48, AuxFormat::kF16},
                        Case{1.5, 40, 128, 32, AuxFormat::kU8}, Case{3.5, 130, 90, 128, AuxFormat::kF32},
                        Case{4.25, 140, 112, 16, AuxFormat::kF16}}) {
    const TestMatrix w = sinq::test::generators::mixed_scales(c.rows, c.cols, 1);
    const TestMatrix x = caused_activations(600, c.cols, 2);
    const Config<Trellis> config = config_of(c.rate, c.group_size, c.aux);
    QuantizedMatrix plain = quantize(view(w), config);
    QuantizedMatrix q = quantize_gptq(view(w), stats_of(x), config, {.refit_scales = false});
    const double before = output_error(w, plain, x);
    EXPECT_LT(output_error(w, q, x), 0.65 * before) << c.rate << " bits, " << c.cols << " columns";
    for (const Region region : {Region::kGroupScale, Region::kGroupScaleBlocks, Region::kColScale, Region::kLevels}) {
      EXPECT_TRUE(sinq::test::same_bytes(q.region(region), plain.region(region)));
    }
    const double published = output_error(w, q, x);
    q = quantize_gptq(view(w), stats_of(x), config);
    EXPECT_LT(output_error(w, q, x), 0.99 * published) << c.rate << " bits, " << c.cols << " columns";
    for (const Region region : {Region::kColScale, Region::kLevels}) {
      EXPECT_TRUE(sinq::test::same_bytes(q.region(region), plain.region(region)));
    }
  }
}

// Nothing to feed back, all columns alike: the path is searched in pieces with foresight, and hardly worse than as a
// whole.
TEST(TrellisBlocksTest, IndependentChannelsGetNearlyTheBestPath) {
  const TestMatrix w = sinq::test::generators::gaussian(128, 256, 3);
  const Config<Trellis, sinq::Identity> config{
      .quantizer = {.rate = 2.0, .rounds = 1, .iterations = 0}, .group_size = 64, .aux = AuxFormat::kF16};
  TestMatrix x(256, 256);
  for (Index c = 0; c < 256; ++c) x(c, c) = 1.0F;
  QuantizedMatrix q = quantize(view(w), config);
  const double whole = output_error(w, q, x);
  gptq(view(w), stats_of(x), q, {.refit_scales = false});
  EXPECT_LT(output_error(w, q, x), 1.02 * whole);
  EXPECT_GT(output_error(w, q, x), 0.98 * whole);
}

TEST(TrellisBlocksTest, ShortMatricesAreCyclicToo) {
  for (const Index cols : {4, 16, 17, 33}) {
    const TestMatrix w = sinq::test::generators::gaussian(20, cols, 4);
    const TestMatrix x = caused_activations(100, cols, 5);
    const Config<Trellis> config = config_of(3.0, 16, AuxFormat::kF16);
    const QuantizedMatrix plain = quantize(view(w), config), q = quantize_gptq(view(w), stats_of(x), config);
    EXPECT_LT(output_error(w, q, x), 1.5 * output_error(w, plain, x)) << cols;
  }
}

TEST(TrellisBlocksTest, AreTheSameForEveryNumberOfThreads) {
  const TestMatrix w = sinq::test::generators::mixed_scales(300, 96, 6);
  const ActivationStats stats = stats_of(caused_activations(300, 96, 7));
  const QuantizedMatrix start = quantize(view(w), config_of(2.5));
  const auto bytes = [&](const auto& executor) {
    QuantizedMatrix q(start.layout());
    std::copy(start.storage().begin(), start.storage().end(), q.storage().begin());
    gptq(view(w), stats, q, {}, executor);
    return q;
  };
  const QuantizedMatrix serial = bytes(sinq::Serial{});
  const sinq::ThreadPool pool(3);
  EXPECT_TRUE(sinq::test::same_bytes(bytes(pool).storage(), serial.storage()));
}

// Where there is one level alone, no path is exact any more once an error has been made up for.
TEST(TrellisBlocksTest, DegenerateMatricesStayNearWhatTheyWere) {
  const ActivationStats stats = stats_of(caused_activations(200, 64, 8));
  for (const auto& generator : sinq::test::degenerate_generators()) {
    const TestMatrix w = generator.make(40, 64, 9);
    QuantizedMatrix q = quantize(view(w), config_of(2.5, 64, AuxFormat::kF16));
    const TestMatrix x = caused_activations(50, 64, 8);
    const double before = output_error(w, q, x);
    gptq(view(w), stats, q);
    const QuantizedMatrix zeros(q.layout());
    EXPECT_LE(output_error(w, q, x), 1.25 * before + 0.02 * output_error(w, zeros, x) + 1e-12) << generator.name;
  }
}

TEST(TrellisBlocksTest, RefuseWhatTearsThemApart) {
  const TestMatrix w = sinq::test::generators::gaussian(96, 64, 10);
  const ActivationStats stats = stats_of(caused_activations(200, 64, 11));
  QuantizedMatrix q = quantize(view(w), config_of(2.5));
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"kByActivation"},
                           [&] { gptq(view(w), stats, q, {.order = ColumnOrder::kByActivation}); }));
  sinq::Layout squares = q.layout();
  squares.row_block = 48;
  QuantizedMatrix s(squares);
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"row_block 48", "128"}, [&] { gptq(view(w), stats, s); }));
}

}  // namespace
