// The slow reference implementation against the golden cases: in float it must hit every code, in double it must agree
// within golden/FORMAT.md section 9.
#include "support/reference.hpp"

#include "golden_dirs.hpp"
#include "support/golden_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using sinq::test::CaseKind;
using sinq::test::GoldenCase;
using sinq::test::Rounding;
namespace reference = sinq::test::reference;

// FORMAT.md section 9.
constexpr double kScaleTolerance = 2e-6;
constexpr double kZeroTolerance = 5e-6;
constexpr double kImbalanceTolerance = 1e-5;
// Codes agree but for a few that lie within 1e-4 of a boundary, so errors agree to that order. The absolute part is for
// errors that are nothing but rounding of float.
constexpr double kErrorTolerance = 1e-4;
constexpr double kErrorFloor = 1e-6;

/// |a - b| relative to |b|; equal values, NaN and Inf included, differ by 0.
double relative(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0.0;
  return std::abs(a - b) / std::abs(b);
}

template <class Real>
reference::Matrix<Real> input(const GoldenCase& c) {
  return {c.rows, c.cols, c.floats("W")};
}

template <class Real>
reference::Quantized<Real> run(const GoldenCase& c) {
  reference::Spec spec;
  spec.rounding = c.rounding;
  spec.bits = c.bits;
  spec.group_size = c.group_size;
  spec.sinkhorn = c.sinkhorn;
  spec.square = c.square;
  spec.half_meta = c.half_meta;
  spec.gate = c.kurtosis_threshold ? static_cast<double>(*c.kurtosis_threshold) : 0.0;
  if (c.awq) spec.awq = c.floats("awq_scale");
  return reference::quantize(input<Real>(c), spec);
}

/// The largest differences outside fragile tiles.
struct Worst {
  double scale = 0.0;
  double zero = 0.0;
  double col_scale = 0.0;
  double code_step = 0.0;
  std::ptrdiff_t codes = 0;
};

template <class Real>
Worst compare(const GoldenCase& c, const reference::Quantized<Real>& q) {
  Worst worst;
  // quantAux: what the codes were chosen with.
  const auto s1 = c.floats(c.quant_aux && c.has("s1_raw") ? "s1_raw" : "s1");
  const auto zero = c.floats(c.quant_aux && c.has("zero_raw") ? "zero_raw" : "zero");
  const auto s2 = c.floats("s2");
  const auto codes = c.bytes("codes");
  for (std::ptrdiff_t r = 0; r < c.rows; ++r) {
    for (std::ptrdiff_t g = 0; g < c.groups(); ++g) {
      if (c.fragile(c.tile_index(r, g))) continue;
      worst.scale = std::max(worst.scale,
                             relative(static_cast<double>(q.s1(r, g)), static_cast<double>(s1[c.group_index(r, g)])));
      const double expected = static_cast<double>(zero.size() == 1 ? zero[0] : zero[c.group_index(r, g)]);
      worst.zero = std::max(worst.zero,
                            std::abs(static_cast<double>(q.zero(r, g)) - expected) / std::max(1.0, std::abs(expected)));
      for (std::ptrdiff_t k = g * c.tile; k < (g + 1) * c.tile; ++k) {
        worst.col_scale = std::max(worst.col_scale, relative(static_cast<double>(q.s2(r / q.row_block, k)),
                                                             static_cast<double>(s2[c.col_index(r, k)])));
        const auto code = static_cast<double>(codes[static_cast<std::size_t>(r * c.cols + k)]);
        const double step = std::abs(static_cast<double>(q.codes(r, k)) - code);
        worst.codes += step != 0.0 ? 1 : 0;
        worst.code_step = std::max(worst.code_step, step);
      }
    }
  }
  return worst;
}

template <class Real>
void check_trace(const GoldenCase& c, const std::vector<reference::SinkhornTrace<Real>>& traces,
                 const std::vector<std::int32_t>& best_k) {
  const auto imbalance = c.floats("sink_imb");
  const auto iterations = static_cast<std::size_t>(c.iterations);
  for (std::size_t t = 0; t < traces.size(); ++t) {
    const auto kept = imbalance[t * iterations + static_cast<std::size_t>(std::max(best_k[t], 0))];
    EXPECT_LE(relative(static_cast<double>(traces[t].imbalance[0]), static_cast<double>(imbalance[t * iterations])),
              kImbalanceTolerance);
    EXPECT_LE(relative(static_cast<double>(traces[t].best_imbalance), static_cast<double>(kept)), kImbalanceTolerance)
        << "tile " << t;
    if (!c.fragile(t)) {
      EXPECT_EQ(traces[t].best_k, best_k[t]) << "tile " << t;
    }
  }
}

/// 8-bit coding of scales and zeros: the coder alone, from the values that the reference coded.
void check_quant_aux(const GoldenCase& c) {
  for (const std::string name : {"scale", "zero"}) {
    if (!c.has(name + "_x")) continue;
    const auto raw = c.floats(name == "scale" ? "s1_raw" : "zero_raw");
    // Zeros share one pair, scales have one for each of their 32-row view's columns.
    const std::ptrdiff_t rows = name == "scale" ? 32 : static_cast<std::ptrdiff_t>(raw.size());
    const auto coded = reference::eight_bit(raw, rows);
    EXPECT_EQ(coded.codes, c.bytes(name + "_x"));
    EXPECT_EQ(coded.step, c.floats(name + "_s"));
    EXPECT_EQ(coded.minimum, c.floats(name + "_m"));
    EXPECT_EQ(coded.decoded, c.floats(name == "scale" ? "s1" : "zero"));
  }
}

template <class Real>
void check_quantize(const GoldenCase& c, std::ptrdiff_t codes_allowed) {
  const auto q = run<Real>(c);
  EXPECT_EQ(q.gated, c.gated);
  EXPECT_EQ(q.group_size, c.tile);
  EXPECT_LE(relative(static_cast<double>(q.kurtosis), static_cast<double>(c.kurtosis)), kScaleTolerance);
  if (c.has("sink_best_k")) check_trace(c, q.traces, c.ints("sink_best_k"));
  if (c.has("hqq_err")) {
    const auto error = c.floats("hqq_err");
    for (std::size_t t = 0; t < q.rounded.size(); ++t) {
      for (std::size_t k = 0; k < 20; ++k) {
        EXPECT_LE(relative(static_cast<double>(q.rounded[t].hqq_error[k]), static_cast<double>(error[t * 20 + k])),
                  kErrorTolerance);
      }
    }
  }
  const Worst worst = compare(c, q);
  EXPECT_LE(worst.codes, c.ties ? 0 : codes_allowed);
  EXPECT_LE(worst.code_step, 1.0);
  EXPECT_LE(worst.scale, kScaleTolerance);
  EXPECT_LE(worst.col_scale, kScaleTolerance);
  const bool integer_zero = q.rounding == Rounding::kUniform || q.rounding == Rounding::kNoz;
  EXPECT_LE(worst.zero, integer_zero ? 0.0 : kZeroTolerance);
  // The error that the reference reports for quantAux is that of the coded scales.
  if (!c.quant_aux && !std::isnan(c.relative_frobenius)) {
    EXPECT_NEAR(reference::relative_frobenius(c.floats("W"), reference::dequantize(q).values), c.relative_frobenius,
                kErrorTolerance * c.relative_frobenius + kErrorFloor);
  }
}

template <class Real>
void check_sinkhorn(const GoldenCase& c) {
  const std::vector traces{reference::sinkhorn(input<Real>(c), c.iterations)};
  check_trace(c, traces, {c.json["metrics"]["best_k"].get<int>()});
  if (c.fragile(0)) return;
  const auto mu1 = c.floats("mu1");
  const auto mu2 = c.floats("mu2");
  const auto scaled = c.floats("scaled");
  for (std::size_t i = 0; i < mu1.size(); ++i) {
    EXPECT_LE(relative(static_cast<double>(traces[0].mu1[i]), static_cast<double>(mu1[i])), kScaleTolerance);
  }
  for (std::size_t i = 0; i < mu2.size(); ++i) {
    EXPECT_LE(relative(static_cast<double>(traces[0].mu2[i]), static_cast<double>(mu2[i])), kScaleTolerance);
  }
  for (std::size_t i = 0; i < scaled.size(); ++i) {
    // Two divisions by factors that are right within kScaleTolerance each.
    EXPECT_LE(relative(static_cast<double>(traces[0].scaled.values[i]), static_cast<double>(scaled[i])),
              2 * kScaleTolerance);
  }
}

void check(const std::vector<std::filesystem::path>& folders) {
  for (const auto& folder : folders) {
    const GoldenCase c = sinq::test::load_case(folder);
    SCOPED_TRACE(c.id);
    if (c.kind == CaseKind::kSinkhorn) {
      check_sinkhorn<float>(c);
      check_sinkhorn<double>(c);
    } else {
      check_quantize<float>(c, 0);
      check_quantize<double>(c, c.codes_near_boundary);
      check_quant_aux(c);
    }
  }
}

TEST(ReferenceOnGolden, EmbeddedCases) { check(sinq::test::embedded_cases()); }

TEST(ReferenceOnGolden, AllCases) {
  const auto dir = sinq::test::full_golden_dir();
  if (!dir) GTEST_SKIP() << "no full golden set here (set SINQ_GOLDEN_DIR)";
  check(sinq::test::case_folders(*dir));
}

}  // namespace
