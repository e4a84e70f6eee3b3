#include <sinq/dequantize.hpp>
#include <sinq/eigen.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/read_back.hpp"

#include <Eigen/Core>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Config;
using sinq::Errc;
using sinq::Index;
using sinq::MatrixView;
using sinq::quantize;
using sinq::QuantizedMatrix;
using sinq::QuantizedView;
using sinq::QuantizeReport;
using sinq::RowMatrix;
using sinq::test::same_bytes;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

TEST(LayoutFor, FollowsTheConfig) {
  Config<> config;
  const auto layout = layout_for(config, 100, 200);
  EXPECT_EQ(layout.rows, 100);
  EXPECT_EQ(layout.cols, 200);
  EXPECT_EQ(layout.bits, 4);
  EXPECT_EQ(layout.group_size, 64);
  EXPECT_EQ(layout.groups(), 4) << "the last one ragged";
  EXPECT_EQ(layout.row_block, 100);
  EXPECT_EQ(layout.level_count, 0);
  EXPECT_EQ(layout.offset, sinq::OffsetKind::kZeroPoint);
  EXPECT_EQ(layout.col_scale, sinq::ColScaleKind::kStored);
  config.tiling = sinq::Tiling::kSquare;
  EXPECT_EQ(layout_for(config, 100, 200).row_block, 64);
  EXPECT_EQ(layout_for(config, 40, 200).row_block, 40);
  config.tile_cols = 128;
  EXPECT_EQ(layout_for(config, 200, 200).row_block, 128);
  config.quantizer.symmetry = sinq::Symmetry::kSymmetric;
  EXPECT_EQ(layout_for(config, 100, 200).offset, sinq::OffsetKind::kShared);
  EXPECT_EQ(layout_for(config, 100, 200).shared_zero_point, 8.0F);
  const Config<sinq::Codebook, sinq::Identity> table{.quantizer = sinq::codebooks::kNf4};
  EXPECT_EQ(layout_for(table, 100, 200).level_count, 16);
  EXPECT_EQ(layout_for(table, 100, 200).col_scale, sinq::ColScaleKind::kNone);
  EXPECT_EQ(required_bytes(table, 100, 200), storage_bytes(layout_for(table, 100, 200)));
}

// 4.5 bits and the column scales: the paper's table.
TEST(Quantize, DefaultsAreThePapersBudget) {
  const TestMatrix w = sinq::test::generators::gaussian(256, 512, 1);
  const QuantizedMatrix q = quantize(view(w));
  EXPECT_NEAR(q.bits_per_weight(), 4.5 + 16.0 / 256, 0.001);
  const auto report = measure_error(view(w), q);
  // FORMAT.md's s001, gaussian at 4 bits and group 64 with an integer zero point: 0.0897.
  EXPECT_NEAR(report.relative_frobenius, 0.089, 0.004);
}

TEST(Quantize, TakesEveryEigenInput) {
  const RowMatrix w = RowMatrix::Random(40, 72);
  const QuantizedMatrix expected = quantize(sinq::view(w));
  const auto same = [&](const QuantizedMatrix& q) { return same_bytes(q.storage(), expected.storage()); };
  EXPECT_TRUE(same(quantize(w)));
  EXPECT_TRUE(same(quantize(Eigen::MatrixXf(w))));
  EXPECT_TRUE(same(quantize(Eigen::MatrixXd(w.cast<double>()))));
  EXPECT_TRUE(same(quantize(Eigen::Map<const RowMatrix>(w.data(), 40, 72))));
  EXPECT_TRUE(same(quantize(w * 1.0F))) << "an expression";
  RowMatrix larger = RowMatrix::Zero(50, 100);
  larger.block(5, 20, 40, 72) = w;
  EXPECT_TRUE(same(quantize(larger.block(5, 20, 40, 72))));
  const RowMatrix transposed = w.transpose();
  EXPECT_TRUE(same(quantize(transposed.transpose())));
  EXPECT_TRUE(same(quantize(w, {.group_size = 64})));
  EXPECT_TRUE(same(quantize(w, Config<>{})));
  const Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic> half = w.cast<Eigen::half>();
  const RowMatrix rounded = half.cast<float>();
  EXPECT_TRUE(same_bytes(quantize(half).storage(), quantize(rounded).storage()));
  const Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> brain =
      w.cast<Eigen::bfloat16>();
  const RowMatrix brain_rounded = brain.cast<float>();
  EXPECT_TRUE(same_bytes(quantize(brain).storage(), quantize(brain_rounded).storage()));
}

/// As in examples/custom_quantizer.cpp: nothing in the library knows it.
struct Custom {
  static constexpr std::array<float, 4> kLevels{-2.0F, -0.5F, 0.5F, 2.0F};
  void validate() const {}
  [[nodiscard]] sinq::CodeFormat format() const {
    return {.bits = 2, .symmetry = sinq::Symmetry::kSymmetric, .levels = kLevels};
  }
  [[nodiscard]] sinq::GroupFit fit(std::span<const float> group) const {
    float sum = 0.0F;
    for (const float x : group) sum += std::fabs(x);
    return {std::max(sum / static_cast<float>(group.size()), 1e-6F), 0.0F};
  }
};

TEST(Quantize, RunsAUsersQuantizer) {
  const TestMatrix w = sinq::test::generators::gaussian(64, 100, 2);
  const QuantizedMatrix q = quantize(view(w), Config<Custom>{});
  EXPECT_EQ(q.layout().bits, 2);
  EXPECT_EQ(q.layout().level_count, 4);
  const auto stored = sinq::test::read_back(q);
  EXPECT_EQ(stored.levels, std::vector<float>(Custom::kLevels.begin(), Custom::kLevels.end()));
  EXPECT_LT(measure_error(view(w), q).relative_frobenius, 0.5);
}

TEST(Quantize, GateFiresAboveTheThresholdOnly) {
  const TestMatrix w = sinq::test::generators::mixed_scales(64, 128, 3);
  const QuantizedMatrix default_method = quantize(view(w));
  const double kurtosis = measure_error(view(w), default_method).kurtosis;
  QuantizeReport report;
  Config<> config{.kurtosis_gate = static_cast<float>(kurtosis * 1.001)};
  const QuantizedMatrix passed = quantize(view(w), config, {.report = &report});
  EXPECT_EQ(report.gate, sinq::GateOutcome::kPassed);
  EXPECT_EQ(passed.layout().col_scale, sinq::ColScaleKind::kStored);
  EXPECT_EQ(layout_for(view(w), config), layout_for(config, 64, 128));
  config.kurtosis_gate = static_cast<float>(kurtosis * 0.999);
  const QuantizedMatrix fired = quantize(view(w), config, {.report = &report});
  EXPECT_EQ(report.gate, sinq::GateOutcome::kFired);
  const QuantizedMatrix rtn = quantize(view(w), Config<sinq::Uniform, sinq::Identity>{});
  EXPECT_EQ(fired.layout(), rtn.layout());
  EXPECT_EQ(layout_for(view(w), config), layout_for(Config<sinq::Uniform, sinq::Identity>{}, 64, 128));
  EXPECT_TRUE(same_bytes(fired.storage(), rtn.storage())) << "plain round-to-nearest of the same bits";
}

TEST(Quantize, GateReplacesATableByAnEvenGrid) {
  const TestMatrix w = sinq::test::generators::student_t(64, 128, 4);
  QuantizeReport report;
  const QuantizedMatrix q = quantize(
      view(w), Config<sinq::Codebook>{.quantizer = sinq::codebooks::kNf4, .kurtosis_gate = 3.5F}, {.report = &report});
  EXPECT_EQ(report.gate, sinq::GateOutcome::kFired);
  EXPECT_EQ(q.layout().level_count, 0) << "decoded as what it is, unlike in the reference (FORMAT.md 8.2)";
  EXPECT_LT(measure_error(view(w), q).relative_frobenius, 0.15);
}

TEST(Quantize, GateHasNoSayInPlainQuantization) {
  const TestMatrix w = sinq::test::generators::student_t(64, 128, 5);
  QuantizeReport report;
  static_cast<void>(quantize(
      view(w), Config<sinq::Codebook, sinq::Identity>{.quantizer = sinq::codebooks::kNf4, .kurtosis_gate = 3.5F},
      {.report = &report}));
  EXPECT_EQ(report.gate, sinq::GateOutcome::kPassed);
}

TEST(Quantize, ReportsTiles) {
  const TestMatrix w = sinq::test::generators::mixed_scales(130, 200, 6);
  QuantizeReport report;
  static_cast<void>(quantize(view(w), {}, {.report = &report}));
  EXPECT_EQ(report.tiles, 4);
  EXPECT_GE(report.passes, 2 * report.tiles);
  EXPECT_GT(report.imbalance_before, 1.5);
  EXPECT_LT(report.imbalance_after, report.imbalance_before);
  EXPECT_EQ(report.isa, sinq::resolve(sinq::Isa::kBest));
  static_cast<void>(
      quantize(view(w), {.tiling = sinq::Tiling::kSquare}, {.isa = sinq::Isa::kPortable, .report = &report}));
  EXPECT_EQ(report.tiles, 3 * 4);
  EXPECT_EQ(report.isa, sinq::Isa::kPortable);
}

// design.md section 2.3: codes are chosen for what a reader decodes; the reference chooses before rounding and loses.
TEST(Quantize, CodesAgainstStoredValuesLoseLess) {
  const TestMatrix w = sinq::test::generators::mixed_scales(256, 256, 7);
  Config<> config{.quantizer = {.bits = 8}};
  const QuantizedMatrix stored = quantize(view(w), config);
  config.codes_against = sinq::CodesAgainst::kFitted;
  const QuantizedMatrix fitted = quantize(view(w), config);
  EXPECT_LT(measure_error(view(w), stored).mse, measure_error(view(w), fitted).mse);
}

TEST(Quantize, ScalesBeyondHalfGetAMatrixScaleThatFits) {
  // One row in 300 is a million times larger, and no sampled row may show it.
  TestMatrix w = sinq::test::generators::gaussian(300, 64, 8);
  for (Index c = 0; c < 64; ++c) w(157, c) *= 1e8F;
  const QuantizedMatrix q = quantize(view(w));
  std::vector<float> row(64);
  sinq::dequantize_rows(q, {157, 158}, row);
  for (Index c = 0; c < 64; ++c) EXPECT_NEAR(row[static_cast<std::size_t>(c)], w(157, c), 1e6F);
}

/// Notes the importance of columns that a fit is given; none: nothing.
struct Probe : sinq::Uniform {
  static inline std::vector<float> seen;
  void fit(const sinq::TileView& tile, Index group_size, const sinq::GroupParams& params, sinq::Scratch& scratch,
           sinq::Isa limit) const {
    seen.clear();
    if (tile.col_weights != nullptr) seen.assign(tile.col_weights, tile.col_weights + tile.cols);
    Uniform::fit(tile, group_size, params, scratch, limit);
  }
};

// By default 1 / col_scale^2: normalized weights are col_scale times as large as those of the matrix.
TEST(ColumnImportance, IsThatOfTheNormalizedWeights) {
  TestMatrix w = sinq::test::generators::gaussian(64, 64, 12);
  for (Index r = 0; r < w.rows; ++r) w(r, 5) *= 3.0F;
  const QuantizedMatrix q = quantize(view(w), Config<Probe>{});
  EXPECT_TRUE(Probe::seen.empty());  // all alike
  std::vector<float> scale(64);
  q.view().col_scales(0, {0, 64}, scale.data());
  EXPECT_GT(scale[5], 1.5F * scale[6]);
  std::vector<float> importance(64);
  for (std::size_t c = 0; c < scale.size(); ++c) importance[c] = static_cast<float>(1 + c % 3);
  static_cast<void>(quantize(view(w), Config<Probe>{}, {.col_importance = importance}));
  ASSERT_EQ(Probe::seen.size(), scale.size());
  for (std::size_t c = 1; c < scale.size(); ++c) {
    const float ratio = importance[c] * scale[c] * scale[c] / (importance[0] * scale[0] * scale[0]);
    EXPECT_NEAR(Probe::seen[c] / Probe::seen[0], ratio, 1e-5F * ratio);
  }
}

template <class Q>
void expect_ratios_to_matter_alone(const Config<Q>& config) {
  const TestMatrix w = sinq::test::generators::mixed_scales(70, 150, 13);
  const auto bytes = [&](const std::vector<float>& importance) {
    const QuantizedMatrix q = quantize(view(w), config, {.col_importance = importance});
    return std::vector<std::byte>(q.storage().begin(), q.storage().end());
  };
  const auto times = [](std::vector<float> values, float factor) {
    for (float& x : values) x *= factor;
    return values;
  };
  std::vector<float> varied(150);
  for (std::size_t c = 0; c < varied.size(); ++c) varied[c] = static_cast<float>(1 + c % 13);
  const auto equal_bytes = bytes(std::vector<float>(150, 1.0F)), varied_bytes = bytes(varied);
  EXPECT_TRUE(equal_bytes != varied_bytes);
  for (const float factor : {1e36F, 1e-14F, 1e-38F, 1e-44F, 3e38F}) {
    EXPECT_TRUE(sinq::test::same_bytes(bytes(std::vector<float>(150, factor)), equal_bytes)) << factor;
  }
  for (const float factor : {0x1p120F, 3.0F, 0x1p-120F})
    EXPECT_TRUE(sinq::test::same_bytes(bytes(times(varied, factor)), varied_bytes)) << factor;
}

TEST(ColumnImportance, OnlyRatiosMatter) {
  expect_ratios_to_matter_alone(Config<sinq::Fitted>{});
  expect_ratios_to_matter_alone(Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(3)});
}

// Codes of neighbouring strips go to memory together: they are those of each strip on its own.
TEST(Tasks, WriteEveryStripsCodes) {
  constexpr Index kRows = 70, kGroup = 16,
                  kCols = kGroup * 50 + 5;  // 51 strips in 17 tasks or more, one of them ragged
  const TestMatrix w = sinq::test::generators::gaussian(kRows, kCols, 11);
  for (const sinq::Tiling tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const Config<> config{.quantizer = {.bits = bits}, .group_size = kGroup, .tiling = tiling};
      const QuantizedMatrix all = quantize(view(w), config);
      const QuantizedMatrix on_threads = quantize(view(w), config, {}, sinq::ThreadPool(3));
      EXPECT_TRUE(same_bytes(on_threads.storage(), all.storage())) << bits;
      for (Index c = 0; c < kCols; c += kGroup) {
        MatrixView strip = view(w);
        strip.data = w.values.data() + c;
        strip.cols = std::min(kGroup, kCols - c);
        const QuantizedMatrix alone = quantize(strip, config);
        for (Index r = 0; r < kRows; ++r) {
          const std::uint8_t* expected = alone.view().codes(r);
          const std::uint8_t* actual = all.view().codes(r) + c * bits / 8;
          ASSERT_TRUE(std::equal(expected, expected + sinq::packed_bytes(strip.cols, bits), actual))
              << bits << " bits, row " << r << ", column " << c;
        }
      }
    }
  }
}

TEST(Progress, CountsTasksAndCancels) {
  const TestMatrix w = sinq::test::generators::gaussian(64, 640, 9);
  std::vector<std::pair<Index, Index>> calls;
  sinq::QuantizeOptions options;
  options.progress = [&](Index done, Index total) {
    calls.emplace_back(done, total);
    return sinq::ProgressAction::kContinue;
  };
  static_cast<void>(quantize(view(w), {}, options));
  ASSERT_EQ(calls.size(), 10U);
  for (std::size_t i = 0; i < calls.size(); ++i) EXPECT_EQ(calls[i], (std::pair<Index, Index>(i + 1, 10)));
  for (const Index threads : {1, 3}) {
    std::atomic<Index> count{0};
    options.progress = [&](Index done, Index) {
      ++count;
      return done >= 4 ? sinq::ProgressAction::kCancel : sinq::ProgressAction::kContinue;
    };
    EXPECT_TRUE(throws_error(Errc::kCancelled, {"progress"},
                             [&] { return quantize(view(w), Config<>{}, options, sinq::ThreadPool(threads)); }));
    EXPECT_GE(count.load(), 4);
    EXPECT_LT(count.load(), 4 + 2 * threads) << "tiles under way are finished, no others begun";
  }
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

TEST(QuantizeInto, ChecksTheBuffer) {
  const TestMatrix w = sinq::test::generators::gaussian(16, 64, 10);
  const Config<> config;
  const auto bytes = static_cast<std::size_t>(required_bytes(config, 16, 64));
  const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, (bytes + 127) / 64 * 64));
  auto* first = static_cast<std::byte*>(memory.get());
  EXPECT_NO_THROW(quantize_into(view(w), config, {first, bytes}));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"quantize_into", "bytes", std::to_string(bytes)}, [&] {
    return quantize_into(view(w), config, {first, bytes - 1});
  }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"quantize_into", "64"}, [&] {
    return quantize_into(view(w), config, {first + 8, bytes});
  }));
}

}  // namespace
