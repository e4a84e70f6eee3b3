#include <sinq/dequantize.hpp>
#include <sinq/eigen.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/quantize.hpp>

#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::MatrixView;
using sinq::measure_error;
using sinq::quantize;
using sinq::QuantizedMatrix;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;
namespace reference = sinq::test::reference;

// Everything in double on both sides: they differ by the order of sums.
constexpr double kTolerance = 1e-10;

TEST(MeasureError, MatchesTheDefinitions) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{37, 75}, {1, 10}, {100, 1}, {16, 64}, {17, 64}}) {
    const TestMatrix w = sinq::test::generators::mixed_scales(rows, cols, 1);
    const QuantizedMatrix q = quantize(view(w));
    std::vector<float> decoded(w.values.size());
    sinq::dequantize_into(q, decoded);
    double error = 0.0, norm = 0.0, most = 0.0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double d = static_cast<double>(decoded[i]) - static_cast<double>(w.values[i]);
      error += d * d;
      norm += static_cast<double>(w.values[i]) * static_cast<double>(w.values[i]);
      most = std::max(most, std::abs(d));
    }
    const auto report = measure_error(view(w), q);
    EXPECT_NEAR(report.mse, error / static_cast<double>(decoded.size()), kTolerance * error);
    EXPECT_NEAR(report.relative_frobenius, std::sqrt(error / norm), kTolerance);
    EXPECT_EQ(report.max_abs, most);
    EXPECT_NEAR(report.snr_db, -20.0 * std::log10(std::sqrt(error / norm)), 1e-6);
    EXPECT_EQ(report.bits_per_weight, q.bits_per_weight());
    const double kurtosis = reference::kurtosis(reference::Matrix<double>(rows, cols, w.values));
    EXPECT_NEAR(report.kurtosis, kurtosis, 1e-6 * kurtosis);
    EXPECT_TRUE(std::isnan(report.relative_output_error)) << "without activations";
  }
}

TEST(MeasureError, TakesATemporary) {
  const TestMatrix w = sinq::test::generators::gaussian(20, 40, 2);
  const QuantizedMatrix q = quantize(view(w));
  EXPECT_EQ(measure_error(view(w), quantize(view(w))).mse, measure_error(view(w), q).mse);
  const Eigen::Map<const sinq::RowMatrix> matrix(w.values.data(), 20, 40);
  EXPECT_EQ(measure_error(matrix, quantize(matrix)).mse, measure_error(matrix, q).mse);
  EXPECT_EQ(measure_error(matrix, quantize(matrix), matrix).relative_output_error,
            measure_error(matrix, q, matrix).relative_output_error);
  EXPECT_EQ(sinq::dequantize(quantize(matrix)), sinq::dequantize(q));
  std::vector<float> decoded(800), rows(800);
  sinq::dequantize_into(quantize(matrix), decoded);
  sinq::dequantize_rows(quantize(matrix), {0, 20}, rows);
  EXPECT_EQ(decoded, rows);
}

/// Activations without a unit stride are read where they are.
TEST(MeasureError, ReadsStridedActivations) {
  const Eigen::MatrixXf w = Eigen::MatrixXf::Random(20, 40), x = Eigen::MatrixXf::Random(7, 40);
  const sinq::RowMatrix by_row = x;
  const QuantizedMatrix q = quantize(w);
  const auto error = [&](const auto& activations) { return measure_error(w, q, activations).relative_output_error; };
  EXPECT_EQ(error(x), error(by_row));
  EXPECT_EQ(error(x.row(3)), error(by_row.row(3)));
  const sinq::RowMatrix columns = x.transpose();
  EXPECT_EQ(error(columns.col(3).transpose()), error(by_row.row(3)));
}

TEST(MeasureError, OutputError) {
  const TestMatrix w = sinq::test::generators::gaussian(20, 40, 2), x = sinq::test::generators::student_t(7, 40, 3);
  const QuantizedMatrix q = quantize(view(w));
  const sinq::RowMatrix decoded = sinq::dequantize(q);
  double error = 0.0, norm = 0.0;
  for (Index t = 0; t < 7; ++t) {
    for (Index r = 0; r < 20; ++r) {
      double y = 0.0, dy = 0.0;
      for (Index c = 0; c < 40; ++c) {
        y += static_cast<double>(x(t, c)) * static_cast<double>(w(r, c));
        dy += static_cast<double>(x(t, c)) * (static_cast<double>(decoded(r, c)) - static_cast<double>(w(r, c)));
      }
      error += dy * dy;
      norm += y * y;
    }
  }
  EXPECT_NEAR(measure_error(view(w), q, view(x)).relative_output_error, std::sqrt(error / norm), kTolerance);
}

// FORMAT.md 7.2 per tile, before; after, rows at unit deviation under the stored column scale.
TEST(MeasureError, ImbalanceIsTheMeanOverTiles) {
  const TestMatrix w = sinq::test::generators::mixed_scales(64, 128, 4);
  const QuantizedMatrix q = quantize(view(w));
  const auto report = measure_error(view(w), q);
  const reference::Matrix<double> m(64, 128, w.values);
  double before = 0.0;
  for (const Index c : {0, 64}) before += reference::imbalance(m.block(0, c, 64, 64)) / 2;
  EXPECT_NEAR(report.imbalance_before, before, 1e-6 * before);
  EXPECT_LT(report.imbalance_after, 0.5 * report.imbalance_before);
  const QuantizedMatrix rtn = quantize(view(w), sinq::Config<sinq::Uniform, sinq::Identity>{});
  const auto plain = measure_error(view(w), rtn);
  EXPECT_EQ(plain.imbalance_after, plain.imbalance_before) << "no column scale";
}

TEST(MeasureError, ExactAndZeroMatrices) {
  const TestMatrix zero = sinq::test::generators::all_zero(9, 20, 0);
  const QuantizedMatrix q = quantize(view(zero));
  const auto report = measure_error(view(zero), q);
  EXPECT_EQ(report.mse, 0.0);
  EXPECT_EQ(report.relative_frobenius, 0.0);
  EXPECT_TRUE(std::isinf(report.snr_db));
  EXPECT_EQ(report.imbalance_before, 1.0);
}

TEST(MeasureError, MeasuresWindows) {
  const TestMatrix w = sinq::test::generators::gaussian(40, 64, 5);
  const QuantizedMatrix q = quantize(view(w));
  TestMatrix part(10, 64);
  std::copy_n(w.values.begin() + 20 * 64, part.values.size(), part.values.begin());
  const auto report = measure_error(view(part), q.view().row_slice({20, 30}));
  EXPECT_NEAR(report.relative_frobenius, measure_error(view(w), q).relative_frobenius, 0.02);
}

TEST(MeasureError, TakesEigen) {
  const sinq::RowMatrix w = sinq::RowMatrix::Random(12, 40), x = sinq::RowMatrix::Random(3, 40);
  const QuantizedMatrix q = quantize(w);
  EXPECT_EQ(measure_error(w, q).mse, measure_error(sinq::view(w), q).mse);
  EXPECT_EQ(measure_error(w, q, x).relative_output_error,
            measure_error(sinq::view(w), q, sinq::view(x)).relative_output_error);
  EXPECT_EQ(measure_error(Eigen::MatrixXd(w.cast<double>()), q).mse, measure_error(w, q).mse);
}

TEST(MeasureError, RefusesOtherShapes) {
  const TestMatrix w = sinq::test::generators::gaussian(8, 16, 6), x = sinq::test::generators::gaussian(3, 17, 6);
  const QuantizedMatrix q = quantize(view(w));
  const MatrixView wrong = MatrixView::row_major(w.values.data(), 16, 8);
  EXPECT_TRUE(
      throws_error(Errc::kBadShape, {"measure_error", "16 x 8", "8 x 16"}, [&] { return measure_error(wrong, q); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"measure_error", "17 columns", "16"},
                           [&] { return measure_error(view(w), q, view(x)); }));
}

}  // namespace
