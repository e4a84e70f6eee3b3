#include <sinq/any_config.hpp>
#include <sinq/dequantize.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/packing/lane_trellis.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/trellis.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/test_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Config;
using sinq::Errc;
using sinq::Identity;
using sinq::Index;
using sinq::QuantizedMatrix;
using sinq::QuantizedView;
using sinq::Region;
using sinq::Sinkhorn;
using sinq::Trellis;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;
namespace generators = sinq::test::generators;

Config<Trellis> trellis(double rate, Index group_size = 64, AuxFormat aux = AuxFormat::kF16) {
  return {.quantizer = {.rate = rate, .rounds = 2, .iterations = 1}, .group_size = group_size, .aux = aux};
}

bool same_storage(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  return a.layout() == b.layout() && a.storage().size() == b.storage().size() &&
         std::memcmp(a.storage().data(), b.storage().data(), a.storage().size()) == 0;
}

double relative_error(const TestMatrix& w, const QuantizedMatrix& q) {
  return std::pow(measure_error(view(w), q).relative_frobenius, 2);
}

TEST(TrellisTest, RefusesBadFields) {
  const auto refuses = [](const Trellis& settings, std::initializer_list<std::string_view> parts) {
    return throws_error(Errc::kBadConfig, parts, [&] { settings.validate(); });
  };
  EXPECT_TRUE(refuses({.rate = 1.25}, {"Trellis", "rate 1.25", "1.5..4.5"}));
  EXPECT_TRUE(refuses({.rate = 4.75}, {"rate 4.75"}));
  EXPECT_TRUE(refuses({.rate = 2.6}, {"rate 2.6", "multiple of 0.25"}));
  EXPECT_TRUE(refuses({.rate = std::numeric_limits<double>::quiet_NaN()}, {"rate"}));
  EXPECT_TRUE(refuses({.rounds = 0}, {"rounds 0", "1..100"}));
  EXPECT_TRUE(refuses({.iterations = -1}, {"iterations -1"}));
  for (double rate = 1.5; rate <= 4.5; rate += 0.25) EXPECT_NO_THROW(Trellis{.rate = rate}.validate());
  EXPECT_NO_THROW(Trellis::fast(3).validate());
}

TEST(TrellisTest, RefusesWhatDoesNotGoWithIt) {
  const auto refuses = [](const Config<Trellis>& config, std::initializer_list<std::string_view> parts) {
    return throws_error(Errc::kBadConfig, parts, [&] { validate(config); });
  };
  EXPECT_TRUE(refuses(trellis(2, 24), {"group_size 24", "multiple of 16"}));
  Config<Trellis> config = trellis(2);
  config.kurtosis_gate = 5.0F;
  EXPECT_TRUE(refuses(config, {"kurtosis_gate 5"}));
  config = trellis(2);
  config.codes_against = sinq::CodesAgainst::kFitted;
  EXPECT_TRUE(refuses(config, {"codes_against", "stored"}));
  EXPECT_NO_THROW(validate(trellis(2, 48)));
}

TEST(TrellisTest, StoresCodesTablesAndScales) {
  const TestMatrix w = generators::gaussian(128, 128, 1);
  const QuantizedMatrix q = quantize(view(w), trellis(2.5, 64, AuxFormat::kU6));
  const sinq::Layout& layout = q.layout();
  EXPECT_EQ(layout.quarter_bits, 10);
  EXPECT_EQ(layout.offset, sinq::OffsetKind::kShared);
  const double scales = 6.0 / 64 + 2.0 * 2 * 32 / (128 * 128), columns = 16.0 / 128;
  EXPECT_NEAR(q.bits_per_weight(), 2.5 + scales + columns + (48 + 4) * 8.0 / (128 * 128), 1e-12);
  int sum = 0;
  for (int t = 0; t < 3; ++t) {
    int most = 0;
    for (int i = 0; i < 16; ++i) most = std::max(most, std::abs(int{q.view().byte_levels()[16 * t + i]}));
    sum += most;
  }
  EXPECT_LE(sum, 127);
  EXPECT_GT(sum, 120) << "the range of bytes is used";
}

// The whole path, at every rate: what is decoded by the rule of lane_trellis.hpp is near the weights, and what
// dequantize makes of it.
TEST(TrellisTest, EveryRateIsAsGoodAsTheSourceAllows) {
  const TestMatrix w = generators::gaussian(128, 64, 2);
  for (double rate = 1.5; rate <= 4.5; rate += 0.25) {
    const QuantizedMatrix q = quantize(view(w), Config<Trellis, Identity>{.quantizer = {.rate = rate}});
    const QuantizedView v = q.view();
    const sinq::TrellisGeometry codes{.rows = 128, .cols = 64, .quarter_bits = q.layout().quarter_bits};
    sinq::TrellisTables tables;
    for (std::size_t i = 0; i < 16; ++i) {
      tables.a[i] = v.byte_levels()[i];
      tables.b[i] = v.byte_levels()[16 + i];
      tables.c[i] = v.byte_levels()[32 + i];
    }
    const auto* panel = reinterpret_cast<const std::uint8_t*>(v.region(Region::kCodes));
    std::vector<float> decoded(w.values.size());
    dequantize_into(v, decoded);
    for (Index r = 0; r < w.rows; r += 17) {
      float scale = 0.0F;
      v.group_scales(0, {r, r + 1}, &scale);
      for (Index c = 0; c < w.cols; ++c) {
        const std::uint32_t window = codes.window(panel, codes.lane_of(r, c), codes.step_of(r, c));
        const float level = static_cast<float>(tables.level(window));
        EXPECT_FLOAT_EQ(decoded[static_cast<std::size_t>(r * w.cols + c)], level * scale * q.layout().matrix_scale);
      }
    }
    // 4^-rate is the bound; the code lies 0.1 bits above it at 1.5 bits and 0.3 at 4.5 (32 steps of a lane or so).
    EXPECT_LT(relative_error(w, q), std::exp2(-2.0 * rate + 0.65)) << rate;
    EXPECT_GT(relative_error(w, q), std::exp2(-2.0 * rate)) << rate;
  }
}

TEST(TrellisTest, IsFarBetterThanLearnedLevelsOfItsSize) {
  const TestMatrix w = generators::gaussian(256, 256, 3);
  const QuantizedMatrix q = quantize(view(w), trellis(2, 64, AuxFormat::kU6));
  const QuantizedMatrix scalar =
      quantize(view(w), Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(2), .aux = AuxFormat::kU6});
  EXPECT_LT(q.bits_per_weight(), scalar.bits_per_weight());
  EXPECT_LT(relative_error(w, q), 0.72 * relative_error(w, scalar));
}

TEST(TrellisTest, MoreRoundsAreBetterAndFastIsNotMuchWorse) {
  const TestMatrix w = generators::student_t(256, 128, 4);
  const auto error = [&](const Trellis& settings) {
    return relative_error(w, quantize(view(w), Config<Trellis>{.quantizer = settings, .aux = AuxFormat::kU6}));
  };
  const double best = error({.rate = 2.5, .rounds = 3}), fast = error(Trellis::fast(2.5));
  EXPECT_LT(best, fast);
  EXPECT_LT(fast, 1.1 * best);
}

TEST(TrellisTest, SameBytesForEveryNumberOfThreads) {
  const TestMatrix w = generators::gaussian(300, 136, 5);
  for (const sinq::Tiling tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kU6}) {
      Config<Trellis> config = trellis(2.25, 32, aux);
      config.tiling = tiling;
      const QuantizedMatrix one = quantize(view(w), config);
      EXPECT_TRUE(same_storage(one, quantize(view(w), config, {}, sinq::ThreadPool(3))));
      EXPECT_LT(relative_error(w, one), 0.07);
    }
  }
}

// Of the whole call. (Sinkhorn's own sums differ in their last bits between instruction sets.)
TEST(TrellisTest, SameBytesForEveryInstructionSet) {
  const TestMatrix w = generators::gaussian(65, 40, 6);
  const Config<Trellis, Identity> config{.quantizer = {.rate = 3.5, .rounds = 2, .iterations = 1}, .group_size = 32};
  const QuantizedMatrix best = quantize(view(w), config);
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    EXPECT_TRUE(same_storage(best, quantize(view(w), config, {.isa = isa}))) << sinq::name(isa);
  }
}

TEST(TrellisTest, RaggedShapes) {
  for (const Index rows : {Index{1}, Index{65}, Index{129}}) {
    for (const Index cols : {Index{1}, Index{15}, Index{50}}) {
      for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
        const TestMatrix w = generators::gaussian(rows, cols, 7);
        const QuantizedMatrix q = quantize(view(w), trellis(3, 32, aux));
        EXPECT_LT(relative_error(w, q), 0.06) << rows << " x " << cols;
        const sinq::TrellisGeometry codes{.rows = rows, .cols = cols, .quarter_bits = 12};
        EXPECT_EQ(region_bytes(q.layout(), Region::kCodes), codes.bytes()) << "padding is counted";
      }
    }
  }
}

// Columns that only fill up a block of sixteen say nothing of a group's scales, and their codes are free.
TEST(TrellisTest, PaddingHasNoSay) {
  using sinq::PanelView;
  constexpr Index kCols = 4, kSteps = sinq::TrellisGeometry::kBlockSteps;
  std::vector<float> whole(static_cast<std::size_t>(kSteps * PanelView::kLanes)), part(whole.size());
  for (Index s = 0; s < kSteps; ++s) {
    for (Index lane = 0; lane < PanelView::kLanes; ++lane) {
      const auto at = static_cast<std::size_t>(s * PanelView::kLanes + lane);
      whole[at] = lane % 2 == 0 ? 0.5F : -0.5F;
      if (PanelView::col_of(s, lane) < kCols) part[at] = whole[at];
    }
  }
  PanelView view{.weights = whole.data(), .steps = kSteps, .group_steps = kSteps, .cols = 16};
  const sinq::detail::TrellisEncoder encoder(Trellis{});
  std::vector<float> expected(128), scales(128);
  encoder.guess_scales(view, expected.data());
  view.weights = part.data();
  view.cols = kCols;
  encoder.guess_scales(view, scales.data());
  EXPECT_EQ(scales, expected);
  sinq::detail::PanelMemory memory;
  sinq::detail::TrellisEncoder::aim(view, scales.data(), memory);
  for (std::size_t i = 0; i < part.size(); ++i) ASSERT_EQ(memory.weights[i] > 0.0F, part[i] != 0.0F) << i;

  // The last group's one quad of columns is coded as well as the first group.
  const TestMatrix w = generators::gaussian(256, 68, 16);
  const QuantizedMatrix q = quantize(sinq::test::view(w), Config<Trellis, Identity>{.quantizer = Trellis::fast(2.5)});
  std::vector<float> out(w.values.size());
  dequantize_into(q, out);
  double error[2] = {}, square[2] = {};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int last = i % 68 < 64 ? 0 : 1;
    error[last] += std::pow(static_cast<double>(out[i] - w.values[i]), 2);
    square[last] += std::pow(static_cast<double>(w.values[i]), 2);
  }
  EXPECT_LT(error[1] / square[1], 1.1 * error[0] / square[0]);
}

TEST(TrellisTest, WindowsShowTheirPart) {
  const TestMatrix w = generators::gaussian(260, 128, 8);
  const QuantizedMatrix q = quantize(view(w), trellis(2.5, 32));
  std::vector<float> all(w.values.size());
  dequantize_into(q, all);
  const QuantizedView part = q.view().row_slice({128, 260}).col_slice({32, 128});
  std::vector<float> window(132 * 96), some(3 * 96);
  dequantize_into(part, window);
  for (Index r = 0; r < 132; ++r) {
    for (Index c = 0; c < 96; ++c) {
      ASSERT_EQ(window[static_cast<std::size_t>(r * 96 + c)], all[static_cast<std::size_t>((128 + r) * 128 + 32 + c)]);
    }
  }
  dequantize_rows(part, {5, 8}, some);
  EXPECT_TRUE(sinq::test::same_bytes(some, std::vector<float>(window.begin() + 5 * 96, window.begin() + 8 * 96)));
}

TEST(TrellisTest, DegenerateMatricesStayFinite) {
  for (const auto& generator : sinq::test::degenerate_generators()) {
    const TestMatrix w = generator.make(40, 40, 9);
    const QuantizedMatrix q = quantize(view(w), trellis(2, 32));
    const auto report = measure_error(view(w), q);
    EXPECT_TRUE(std::isfinite(report.mse)) << generator.name;
    EXPECT_TRUE(report.relative_frobenius <= 1.0001 || report.mse < 1e-8) << generator.name;
  }
  const TestMatrix zero = generators::all_zero(16, 32, 1);
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kU6}) {
    EXPECT_LT(measure_error(view(zero), quantize(view(zero), trellis(2, 32, aux))).max_abs, 1e-27);
  }
}

TEST(TrellisTest, UnitsDoNotMatter) {
  const TestMatrix w = generators::gaussian(64, 64, 10);
  const QuantizedMatrix plain = quantize(view(w), trellis(2.5));
  for (const double factor : {0x1p60, 0x1p-60}) {
    const QuantizedMatrix scaled = quantize(view(w.times(factor)), trellis(2.5));
    EXPECT_EQ(scaled.layout().matrix_scale, static_cast<float>(factor) * plain.layout().matrix_scale);
    EXPECT_EQ(std::memcmp(scaled.storage().data(), plain.storage().data(), plain.storage().size()), 0);
  }
}

// Decision 14 of include/sinq/README.md: an outlier costs its own row.
TEST(TrellisTest, AnOutlierCostsItsOwnRow) {
  TestMatrix w = generators::gaussian(128, 128, 11);
  const auto error_of_others = [&] {
    const QuantizedMatrix q = quantize(view(w), trellis(3));
    std::vector<float> out(w.values.size());
    dequantize_into(q, out);
    double error = 0.0, square = 0.0;
    for (Index r = 0; r < w.rows; ++r) {
      for (Index c = 0; c < w.cols && r != 20; ++c) {
        const auto i = static_cast<std::size_t>(r * w.cols + c);
        error += std::pow(static_cast<double>(out[i] - w.values[i]), 2);
        square += std::pow(static_cast<double>(w.values[i]), 2);
      }
    }
    return error / square;
  };
  const double before = error_of_others();
  for (const float spike : {2.0F, 1e7F, 1e30F}) {
    w(20, 30) = spike;
    EXPECT_LT(error_of_others(), 1.15 * before) << spike;
  }
}

TEST(TrellisTest, BadWeightsAreRefused) {
  TestMatrix w = generators::gaussian(40, 40, 12);
  w(33, 7) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(throws_error(Errc::kBadData, {"weight [33, 7]", "nan"},
                           [&] { static_cast<void>(quantize(view(w), trellis(2))); }));
  w(33, 7) = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(throws_error(Errc::kBadData, {"weight [33, 7]", "inf"},
                           [&] { static_cast<void>(quantize(view(w), trellis(2))); }));
}

TEST(TrellisTest, ImportantColumnsAreNearer) {
  const TestMatrix w = generators::gaussian(128, 64, 13);
  // Every other quad of columns: neighbours within a lane trade their bits.
  std::vector<float> importance(64, 1e-20F);
  for (std::size_t c = 0; c < 64; ++c) importance[c] *= c / 4 % 2 == 0 ? 100.0F : 1.0F;
  const QuantizedMatrix plain = quantize(view(w), trellis(2.5));
  const QuantizedMatrix weighed = quantize(view(w), trellis(2.5), {.col_importance = importance});
  const auto error = [&](const QuantizedMatrix& q, std::size_t odd) {
    std::vector<float> out(w.values.size());
    dequantize_into(q, out);
    double sum = 0.0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i / 4 % 2 == odd) sum += std::pow(static_cast<double>(out[i] - w.values[i]), 2);
    }
    return sum;
  };
  EXPECT_LT(error(weighed, 0), 0.8 * error(plain, 0));
  EXPECT_GT(error(weighed, 1), error(plain, 1));
}

TEST(TrellisTest, ReportsAndCanBeCancelled) {
  const TestMatrix w = generators::gaussian(300, 64, 14);
  sinq::QuantizeReport report;
  Index last = 0, total = 0;
  static_cast<void>(quantize(view(w), trellis(2, 32),
                             {.progress =
                                  [&](Index done, Index all) {
                                    EXPECT_EQ(done, last + 1);
                                    last = done;
                                    total = all;
                                    return sinq::ProgressAction::kContinue;
                                  },
                              .report = &report}));
  EXPECT_EQ(total, 2 + 3) << "strips, then panels";
  EXPECT_EQ(last, total);
  EXPECT_EQ(report.tiles, 2);
  EXPECT_GT(report.passes, 0);
  for (const Index stop : {Index{1}, Index{4}}) {
    EXPECT_TRUE(throws_error(Errc::kCancelled, {"progress"}, [&] {
      const auto ask = [&](Index done, Index) {
        return done == stop ? sinq::ProgressAction::kCancel : sinq::ProgressAction::kContinue;
      };
      static_cast<void>(quantize(view(w), trellis(2, 32), {.progress = ask}));
    }));
  }
}

TEST(TrellisTest, AnyConfigHoldsIt) {
  const TestMatrix w = generators::gaussian(64, 64, 15);
  const sinq::AnyConfig any = trellis(2);
  EXPECT_TRUE(same_storage(quantize(view(w), any), quantize(view(w), trellis(2))));
  EXPECT_EQ(required_bytes(any, 64, 64), required_bytes(trellis(2), 64, 64));
}

}  // namespace
