// Matrices on which standard deviations, ranges or float formats break down: results stay finite, and no method is
// worse than the same rounding without the dual scale by more than 2% (and one part in a million of the matrix, the
// rounding of float itself).
#include <sinq/dequantize.hpp>
#include <sinq/measure_error.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/methods.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Index;
using sinq::MatrixView;
using sinq::test::Balance;
using sinq::test::describe;
using sinq::test::Method;
using sinq::test::quantize_with;
using sinq::test::Rounding;
using sinq::test::TestMatrix;
using sinq::test::view;

constexpr Rounding kRoundings[] = {Rounding::kRealUniform, Rounding::kUniform, Rounding::kSymmetric,
                                   Rounding::kNoz,         Rounding::kNf4,     Rounding::kNf3,
                                   Rounding::kFp4,         Rounding::kTernary, Rounding::kHqq};

struct Norms {
  double error = 0.0;
  double matrix = 0.0;
};

Norms run(const Method& method, const TestMatrix& w, sinq::Isa isa = sinq::Isa::kBest) {
  const auto q = quantize_with(method, view(w), {.isa = isa});
  TestMatrix decoded(w.rows, w.cols);
  sinq::dequantize_into(q, decoded.values);
  EXPECT_TRUE(sinq::test::all_finite(decoded.values));
  Norms out;
  for (std::size_t i = 0; i < w.values.size(); ++i) {
    out.error = std::hypot(out.error, static_cast<double>(decoded.values[i]) - static_cast<double>(w.values[i]));
    out.matrix = std::hypot(out.matrix, static_cast<double>(w.values[i]));
  }
  return out;
}

class Degenerate : public testing::TestWithParam<sinq::test::Generator> {
 protected:
  static void expect_no_worse_than_rtn(Method method, Index rows, Index cols, std::uint64_t seed) {
    const TestMatrix w = GetParam().make(rows, cols, seed);
    SCOPED_TRACE(describe(method) + ", " + std::to_string(rows) + " x " + std::to_string(cols));
    const Norms sinq = run(method, w);
    method.balance = Balance::kIdentity;
    const Norms rtn = run(method, w);
    EXPECT_LE(sinq.error, 1.02 * rtn.error + 1e-6 * sinq.matrix);
  }
};

// Large enough that the two errors are means over thousands of weights: on plain gaussian weights of these shapes the
// ratio is 0.99 to 1.00.
TEST_P(Degenerate, IsNoWorseThanRoundToNearest) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{64, 128}, {192, 192}, {256, 72}}) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
        for (const auto tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
          expect_no_worse_than_rtn({.bits = bits, .tiling = tiling, .aux = aux}, rows, cols, 1);
        }
      }
    }
  }
}

class Finite : public testing::TestWithParam<sinq::test::Generator> {};

TEST_P(Finite, WithEveryMethodShapeAndInstructionSet) {
  for (const auto& [rows, cols] :
       {std::pair<Index, Index>{70, 72}, {1, 1}, {1, 70}, {70, 1}, {2, 2}, {3, 9}, {9, 3}, {17, 130}}) {
    const TestMatrix w = GetParam().make(rows, cols, 3);
    for (const Rounding rounding : kRoundings) {
      for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
        for (const sinq::Isa isa : sinq::test::supported_isas()) {
          const Method method{.rounding = rounding, .bits = 3, .aux = aux};
          SCOPED_TRACE(describe(method) + " on " + std::string(name(isa)) + ", " + std::to_string(rows) + " x " +
                       std::to_string(cols));
          const Norms norms = run(method, w, isa);
          EXPECT_LE(norms.error, norms.matrix * 1.0001) << "worse than nothing";
        }
      }
    }
  }
}

TEST_P(Finite, Reports) {
  const TestMatrix w = GetParam().make(64, 64, 4);
  const auto q = quantize_with({}, view(w));
  const auto report = measure_error(view(w), q);
  EXPECT_TRUE(sinq::test::all_finite(std::vector<double>{report.mse, report.relative_frobenius, report.max_abs,
                                                         report.bits_per_weight, report.imbalance_before,
                                                         report.imbalance_after, report.kurtosis}));
  EXPECT_FALSE(std::isnan(report.snr_db));
}

std::string test_name(const testing::TestParamInfo<sinq::test::Generator>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(EveryGenerator, Degenerate, testing::ValuesIn(sinq::test::degenerate_generators()), test_name);
INSTANTIATE_TEST_SUITE_P(EveryGenerator, Finite, testing::ValuesIn(sinq::test::degenerate_generators()), test_name);
INSTANTIATE_TEST_SUITE_P(AwkwardGenerator, Finite, testing::ValuesIn(sinq::test::awkward_generators()), test_name);

// Zero is zero: no method may invent weights.
TEST(AllZero, DecodesToExactlyZero) {
  const TestMatrix w = sinq::test::generators::all_zero(70, 72, 0);
  for (const Rounding rounding : kRoundings) {
    for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
      EXPECT_EQ(run({.rounding = rounding, .bits = 4, .aux = aux}, w).error, 0.0)
          << describe({.rounding = rounding, .bits = 4, .aux = aux});
    }
  }
}

// FORMAT.md 8.10: zero rows decode to exactly 0 beside rows that are not zero.
TEST(ZeroRow, DecodesToExactlyZero) {
  const TestMatrix w = sinq::test::generators::zero_row_and_column(64, 64, 5);
  for (const Rounding rounding : kRoundings) {
    const auto q = quantize_with({.rounding = rounding, .bits = 4}, view(w));
    std::vector<float> row(64);
    sinq::dequantize_rows(q, {32, 33}, row);
    for (const float x : row) EXPECT_EQ(x, 0.0F) << static_cast<int>(rounding);
  }
}

// What the guard is for: seen, not silent.
TEST(DegenerateReport, CountsWhatTheGuardDid) {
  sinq::QuantizeReport report;
  const auto quantize = [&](const TestMatrix& w) {
    static_cast<void>(quantize_with({}, view(w), {.report = &report}));
  };
  quantize(sinq::test::generators::all_zero(64, 128, 6));
  EXPECT_EQ(report.tiles, 2);
  EXPECT_EQ(report.tiles_untouched, 2);
  // Columns of unequal spread around 1: bringing them to the same spread would tear their means apart.
  TestMatrix offset = sinq::test::generators::mixed_scales(64, 128, 6);
  for (float& x : offset.values) x += 1.0F;
  quantize(offset);
  EXPECT_EQ(report.tiles_refused, 2);
  quantize(sinq::test::generators::constant_column(64, 128, 6));
  EXPECT_EQ(report.left_out, 1);
  quantize(sinq::test::generators::gaussian(64, 128, 6));
  EXPECT_EQ(report.tiles_untouched + report.tiles_refused + report.left_out, 0);
}

}  // namespace
