// One weight far beyond the others: what it costs, its own row pays, and the report says so.
#include <sinq/dequantize.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Config;
using sinq::Index;
using sinq::QuantizeReport;
using sinq::test::TestMatrix;
using sinq::test::view;

constexpr Index kOutlierRows = 128, kOutlierCols = 256, kOutlierRow = 70;

struct RowErrors {
  double others = 0.0;  ///< relative error of all rows but the outlier's
  double worst = 0.0;   ///< of the worst of them
  double own = 0.0;     ///< of the outlier's
};

template <class C>
RowErrors errors_with(const C& config, float outlier, QuantizeReport* report = nullptr) {
  TestMatrix w = sinq::test::generators::gaussian(kOutlierRows, kOutlierCols, 21);
  if (outlier != 0.0F) w(kOutlierRow, 100) = outlier;
  const sinq::QuantizedMatrix q = sinq::quantize(view(w), config, {.report = report});
  std::vector<float> decoded(w.values.size());
  sinq::dequantize_into(q, decoded);
  EXPECT_TRUE(sinq::test::all_finite(decoded));
  RowErrors out;
  double all_error = 0.0, all_square = 0.0;
  for (Index r = 0; r < w.rows; ++r) {
    double error = 0.0, square = 0.0;
    for (Index c = 0; c < w.cols; ++c) {
      const double x = static_cast<double>(w(r, c));
      const double d = static_cast<double>(decoded[static_cast<std::size_t>(r * w.cols + c)]) - x;
      error += d * d;
      square += x * x;
    }
    if (r == kOutlierRow) {
      out.own = std::sqrt(error / square);
      continue;
    }
    out.worst = std::max(out.worst, std::sqrt(error / square));
    all_error += error;
    all_square += square;
  }
  out.others = std::sqrt(all_error / all_square);
  return out;
}

template <class C>
void expect_own_row_to_pay(C config) {
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
    config.aux = aux;
    const RowErrors without = errors_with(config, 0.0F);
    // Of 64 rows that share a block of u6, all get steps of 28 octaves / 63.
    const double most = aux == AuxFormat::kU6 ? 1.2 : 1.05;
    for (const float outlier : {1e2F, 1e3F, -1e5F, 1e7F, -1e9F, 1e12F, 1e20F, -1e38F}) {
      const RowErrors with = errors_with(config, outlier);
      EXPECT_LE(with.others, most * without.others) << static_cast<int>(aux) << " " << outlier;
      EXPECT_LE(with.worst, 1.2 * most * without.worst) << static_cast<int>(aux) << " " << outlier;
      EXPECT_LE(with.own, 1.01) << static_cast<int>(aux) << " " << outlier;
    }
  }
}

TEST(Outlier, CostsItsOwnRow) {
  expect_own_row_to_pay(Config<>{});
  expect_own_row_to_pay(Config<sinq::Uniform, sinq::Identity>{});
  expect_own_row_to_pay(Config<>{.tiling = sinq::Tiling::kSquare});
}

TEST(Outlier, CostsItsOwnRowUnderSearchedGridsAndLearnedTables) {
  expect_own_row_to_pay(Config<sinq::Fitted>{});
  expect_own_row_to_pay(Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(3)});
}

TEST(Outlier, IsReported) {
  QuantizeReport report;
  errors_with(Config<>{}, 0.0F, &report);
  EXPECT_EQ(report.outlier_tiles + report.clipped_groups + report.clipped_weights, 0);
  EXPECT_LT(errors_with(Config<>{}, 1e7F, &report).own, 0.01) << "f16 holds both";
  EXPECT_EQ(report.outlier_tiles, 1);
  EXPECT_EQ(report.clipped_groups + report.clipped_weights, 0);
  errors_with(Config<>{}, 1e13F, &report);
  EXPECT_EQ(report.outlier_tiles, 1);
  EXPECT_EQ(report.clipped_groups, 1);
  EXPECT_EQ(report.clipped_weights, 0);
  errors_with(Config<>{}, 1e30F, &report);
  EXPECT_EQ(report.clipped_groups, 1);
  EXPECT_EQ(report.clipped_weights, 1);
  EXPECT_LT(errors_with(Config<>{.aux = AuxFormat::kF32}, 1e13F, &report).own, 0.01);
  EXPECT_EQ(report.clipped_groups + report.clipped_weights, 0);
}

// Half of the rows are no outliers, however large: what binary16 has is theirs.
TEST(Outlier, IsNoHalfOfTheMatrix) {
  TestMatrix w = sinq::test::generators::gaussian(64, 128, 3);
  for (Index r = 0; r < w.rows; r += 2) {
    for (Index c = 0; c < w.cols; ++c) w(r, c) *= 0x1p24F;
  }
  QuantizeReport report;
  const sinq::QuantizedMatrix q = sinq::quantize(view(w), Config<>{}, {.report = &report});
  EXPECT_EQ(report.clipped_groups, 0);
  std::vector<float> decoded(w.values.size());
  sinq::dequantize_into(q, decoded);
  for (Index r = 0; r < w.rows; r += 2) {
    double error = 0.0, square = 0.0;
    for (Index c = 0; c < w.cols; ++c) {
      const double x = static_cast<double>(w(r, c));
      const double d = static_cast<double>(decoded[static_cast<std::size_t>(r * w.cols + c)]) - x;
      error += d * d;
      square += x * x;
    }
    EXPECT_LT(std::sqrt(error / square), 0.13) << r;
  }
}

}  // namespace
