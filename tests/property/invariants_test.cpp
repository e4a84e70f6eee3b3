// What must hold for every method, whatever numbers come out.
#include <sinq/dequantize.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"
#include "support/methods.hpp"
#include "support/read_back.hpp"
#include "support/reference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Index;
using sinq::Isa;
using sinq::MatrixView;
using sinq::test::Balance;
using sinq::test::Method;
using sinq::test::Random;
using sinq::test::ReadBack;
using sinq::test::Rounding;
using sinq::test::same_bytes;
using sinq::test::Semantics;
using sinq::test::TestMatrix;
using sinq::test::view;
namespace reference = sinq::test::reference;

constexpr Rounding kRoundings[] = {Rounding::kRealUniform, Rounding::kUniform, Rounding::kSymmetric,
                                   Rounding::kNoz,         Rounding::kNf4,     Rounding::kNf3,
                                   Rounding::kFp4,         Rounding::kTernary, Rounding::kHqq};
constexpr AuxFormat kAuxFormats[] = {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6};

ReadBack quantized(const Method& method, const TestMatrix& w) {
  const sinq::QuantizedMatrix q = quantize_with(method, view(w));
  return sinq::test::read_back(q);
}

TestMatrix decoded(const Method& method, const TestMatrix& w) {
  const sinq::QuantizedMatrix q = quantize_with(method, view(w));
  TestMatrix out(w.rows, w.cols);
  sinq::dequantize_into(q, out.values);
  return out;
}

double error_of(const Method& method, const TestMatrix& w) {
  const sinq::QuantizedMatrix q = quantize_with(method, view(w));
  return measure_error(view(w), q).relative_frobenius;
}

/// Every rounding with every aux format, both normalizers, strips and squares.
std::vector<Method> all_methods() {
  std::vector<Method> out;
  for (const Rounding rounding : kRoundings) {
    for (const AuxFormat aux : kAuxFormats) {
      for (const Balance balance : {Balance::kSinkhorn, Balance::kIdentity}) {
        for (const sinq::Tiling tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
          out.push_back(
              {.rounding = rounding, .bits = 3, .balance = balance, .group_size = 32, .tiling = tiling, .aux = aux});
        }
      }
    }
  }
  return out;
}

// ---- Normalizer ----

TEST(Imbalance, NeverGrows) {
  for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
    for (const auto& generator : *list) {
      for (const auto& [rows, cols] : {std::pair<Index, Index>{40, 24}, {7, 65}, {2, 2}, {1, 9}, {9, 1}}) {
        const TestMatrix w = generator.make(rows, cols, 3);
        for (const Isa isa : sinq::test::supported_isas()) {
          for (const auto thresholds : {sinq::Thresholds::kRelative, sinq::Thresholds::kAbsolute}) {
            for (const auto degenerate : {sinq::DegenerateTiles::kGuard, sinq::DegenerateTiles::kAsReference}) {
              const auto scale = sinq::balance(view(w), sinq::Sinkhorn{.degenerate = degenerate}, thresholds, isa);
              EXPECT_LE(scale.report.imbalance_after, scale.report.imbalance_before) << generator.name;
            }
          }
        }
      }
    }
  }
}

// The report is what a slow look at the scaled matrix finds: 1e-5 is FORMAT.md's tolerance for imbalance.
TEST(Imbalance, IsReportedTruthfully) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    for (const Isa isa : sinq::test::supported_isas()) {
      const TestMatrix w = generator.make(50, 40, 4);
      const auto scale = sinq::balance(view(w), sinq::Sinkhorn{}, sinq::Thresholds::kRelative, isa);
      const reference::Matrix<double> m(w.rows, w.cols, w.values);
      const std::vector<double> col(scale.col.begin(), scale.col.end());
      const std::vector<double> row(scale.row.begin(), scale.row.end());
      const double before = reference::imbalance(m);
      const double after = reference::imbalance(reference::scale_down(m, col, row));
      EXPECT_NEAR(scale.report.imbalance_before, before, 1e-5 * before) << generator.name;
      EXPECT_NEAR(scale.report.imbalance_after, after, 1e-5 * after) << generator.name;
    }
  }
}

// Dividing and multiplying back: four roundings of 2^-24 each.
TEST(DualScale, GivesTheMatrixBack) {
  for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
    for (const auto& generator : *list) {
      const TestMatrix w = generator.make(33, 20, 5);
      const auto scale = sinq::balance(view(w), sinq::Sinkhorn{});
      for (const auto* factors : {&scale.row, &scale.col}) {
        EXPECT_TRUE(sinq::test::all_finite(*factors)) << generator.name;
        for (const float f : *factors) EXPECT_GT(f, 0.0F) << generator.name;
      }
      for (Index r = 0; r < w.rows; ++r) {
        for (Index c = 0; c < w.cols; ++c) {
          const float row = scale.row[static_cast<std::size_t>(r)], col = scale.col[static_cast<std::size_t>(c)];
          const float back = w(r, c) / row / col * row * col;
          // Subnormal quotients lose digits of their own.
          ASSERT_NEAR(back, w(r, c), 4 * 0x1p-24F * std::abs(w(r, c)) + 100 * std::numeric_limits<float>::denorm_min())
              << generator.name;
        }
      }
    }
  }
}

// ---- Codes ----

/// How far from the best level a code may be, in level units: the library computes m / scale + zero in float, from
/// factors that are right within 2e-6 (FORMAT.md section 9).
constexpr double kLevelTolerance = 4e-6;

TEST(Codes, AreTheNearestLevelsUnderWhatIsStored) {
  Random random(6);
  for (Method method : all_methods()) {
    for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
      const auto& generator = (*list)[random.bits() % list->size()];
      const TestMatrix w = generator.make(random.between(1, 70), random.between(1, 80), random.bits());
      SCOPED_TRACE(describe(method) + ", " + generator.name);
      const ReadBack q = quantized(method, w);
      const double lowest = static_cast<double>(q.levels.front()), highest = static_cast<double>(q.levels.back());
      for (Index r = 0; r < w.rows; ++r) {
        for (Index c = 0; c < w.cols; ++c) {
          const double step = q.s1(r, c) * q.col(r, c);
          if (step == 0.0) continue;
          const double x = static_cast<double>(w(r, c)) / step + q.zero_at(r, c);  // in level units
          // Beyond the table's ends everything is clipped.
          const double target = std::min(std::max(x, lowest), highest);
          double best = std::numeric_limits<double>::infinity();
          // noz does not use its outermost codes.
          const std::size_t used = method.rounding == Rounding::kNoz ? q.levels.size() - 2 : q.levels.size();
          for (std::size_t k = 0; k < used; ++k)
            best = std::min(best, std::abs(static_cast<double>(q.levels[k]) - target));
          const double chosen = std::abs(static_cast<double>(q.levels[q.code(r, c)]) - target);
          const double magnitude = std::abs(q.zero_at(r, c)) + std::max(std::abs(lowest), std::abs(highest));
          ASSERT_LE(chosen, best + kLevelTolerance * magnitude) << "at " << r << ", " << c << ": x = " << x;
        }
      }
    }
  }
}

// Quantizing what was decoded finds the same codes: the ends of a group's range are levels, so they are found again.
TEST(Codes, SurviveQuantizingTwice) {
  Random random(7);
  for (int bits = 2; bits <= 8; ++bits) {
    for (const Rounding rounding : {Rounding::kRealUniform, Rounding::kUniform}) {
      const Method method{
          .rounding = rounding, .bits = bits, .balance = Balance::kIdentity, .group_size = 16, .aux = AuxFormat::kF32};
      const TestMatrix w = sinq::test::generators::gaussian(24, 40, random.bits());
      EXPECT_EQ(quantized(method, w).codes, quantized(method, decoded(method, w)).codes) << describe(method);
    }
  }
}

// ---- Scale invariance ----

TEST(PowersOfTwo, ChangeMatrixScaleOnly) {
  for (const Method& method : all_methods()) {
    SCOPED_TRACE(describe(method));
    const TestMatrix w = sinq::test::generators::mixed_scales(40, 50, 8);
    const auto expected = quantize_with(method, view(w));
    for (const int exponent : {-90, -20, -1, 1, 13, 100}) {
      const auto scaled = quantize_with(method, view(w.times(std::exp2(exponent))));
      EXPECT_TRUE(same_bytes(scaled.storage(), expected.storage())) << exponent;
      EXPECT_EQ(scaled.layout().matrix_scale, std::ldexp(expected.layout().matrix_scale, exponent));
    }
  }
}

// Any other factor: the same up to the rounding of aux, which for f16 is 2^-11 of each of two scales; the error is a
// mean over a thousand weights.
TEST(AnyFactor, ChangesTheErrorByRoundingOnly) {
  for (const Rounding rounding : kRoundings) {
    const Method method{.rounding = rounding, .bits = 4, .group_size = 32};
    const TestMatrix w = sinq::test::generators::mixed_scales(64, 64, 9);
    const double expected = error_of(method, w);
    for (const double factor : {1e-20, 0.3, 7.0, 1e15}) {
      const TestMatrix scaled = w.times(factor);
      const double actual = error_of(method, scaled);
      EXPECT_NEAR(actual, expected, 0.01 * expected) << describe(method) << " times " << factor;
    }
  }
}

// ---- The same bytes ----

TEST(SameBytes, OnEveryCallAndWithEveryNumberOfThreads) {
  for (const Method& method : all_methods()) {
    const TestMatrix w = sinq::test::generators::mixed_scales(150, 130, 10);
    const auto expected = quantize_with(method, view(w));
    EXPECT_TRUE(same_bytes(quantize_with(method, view(w)).storage(), expected.storage())) << describe(method);
    for (const Index threads : {2, 3, 5}) {
      const auto actual = quantize_with(method, view(w), {}, threads);
      EXPECT_TRUE(same_bytes(actual.storage(), expected.storage())) << describe(method) << ", threads " << threads;
      EXPECT_EQ(actual.layout(), expected.layout());
    }
  }
}

TEST(SameBytes, WhateverTheInputsMemoryLooksLike) {
  constexpr Index kRows = 37, kCols = 75;
  // Halves: exact in every type.
  TestMatrix w = sinq::test::generators::mixed_scales(kRows, kCols, 11);
  for (float& x : w.values) x = sinq::half_to_float(sinq::float_to_half(x));
  std::vector<float> column_major(w.values.size()), strided(w.values.size() * 6);
  std::vector<double> doubles(w.values.begin(), w.values.end());
  std::vector<std::uint16_t> halves;
  for (Index r = 0; r < kRows; ++r) {
    for (Index c = 0; c < kCols; ++c) {
      column_major[static_cast<std::size_t>(c * kRows + r)] = w(r, c);
      strided[static_cast<std::size_t>(r * 2 * kCols * 3 + c * 3)] = w(r, c);
      halves.push_back(sinq::float_to_half(w(r, c)));
    }
  }
  const auto read_tile = [](const void* expression, Index row, Index col, Index rows, Index cols, float* out,
                            Index stride) {
    const auto& matrix = *static_cast<const TestMatrix*>(expression);
    for (Index r = 0; r < rows; ++r) {
      for (Index c = 0; c < cols; ++c) out[r * stride + c] = matrix(row + r, col + c);
    }
  };
  const MatrixView inputs[] = {
      {.rows = kRows, .cols = kCols, .data = column_major.data(), .row_stride = 1, .col_stride = kRows},
      {.rows = kRows, .cols = kCols, .data = strided.data(), .row_stride = 6 * kCols, .col_stride = 3},
      MatrixView::row_major(doubles.data(), sinq::ScalarType::kF64, kRows, kCols),
      MatrixView::row_major(halves.data(), sinq::ScalarType::kF16, kRows, kCols),
      {.rows = kRows, .cols = kCols, .data = &w, .read_tile = read_tile},
  };
  for (const Method& method : all_methods()) {
    const auto expected = quantize_with(method, view(w));
    for (std::size_t i = 0; i < std::size(inputs); ++i) {
      const auto actual = quantize_with(method, inputs[i]);
      EXPECT_TRUE(same_bytes(actual.storage(), expected.storage())) << describe(method) << ", input " << i;
    }
  }
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

TEST(SameBytes, IntoTheCallersMemory) {
  for (Method method : all_methods()) {
    for (const float gate : {0.0F, 1.0F}) {  // off, and firing on every matrix
      method.kurtosis_gate = gate;
      const TestMatrix w = sinq::test::generators::gaussian(30, 70, 12);
      const auto expected = quantize_with(method, view(w));
      const auto bytes = static_cast<std::size_t>(required_bytes_with(method, w.rows, w.cols));
      // One byte more than needed, which must stay as it was; and garbage, which must not show.
      const std::unique_ptr<void, Free> memory(std::aligned_alloc(64, (bytes / 64 + 1) * 64));
      std::memset(memory.get(), 0xa5, bytes + 1);
      const std::span<std::byte> out(static_cast<std::byte*>(memory.get()), bytes);
      const auto q = quantize_into_with(method, view(w), out);
      EXPECT_EQ(q.layout(), expected.layout()) << describe(method);
      EXPECT_EQ(out.data()[bytes], std::byte{0xa5});
      for (int i = 0; i < sinq::kRegionCount; ++i) {
        const auto region = static_cast<sinq::Region>(i);
        const auto size = static_cast<std::size_t>(region_bytes(q.layout(), region));
        const std::span<const std::byte> actual(q.region(region), size);
        const std::span<const std::byte> wanted(expected.view().region(region), size);
        EXPECT_TRUE(same_bytes(actual, wanted)) << describe(method) << ", region " << i;
      }
    }
  }
}

// The guard of degenerate tiles has no say where there is nothing degenerate. A row of 30 times the deviation is: there
// the guard weighs both roundings, see Errors.
TEST(SameBytes, WithAndWithoutTheGuardOnOrdinaryMatrices) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    if (generator.name == std::string("outlier_row")) continue;
    for (const sinq::Tiling tiling : {sinq::Tiling::kColumns, sinq::Tiling::kSquare}) {
      const TestMatrix w = generator.make(64, 96, 13);
      Method method{.group_size = 32, .tiling = tiling};
      const auto guarded = quantize_with(method, view(w));
      method.semantics = Semantics::kUnguarded;
      EXPECT_TRUE(same_bytes(quantize_with(method, view(w)).storage(), guarded.storage())) << generator.name;
    }
  }
}

// ---- Errors ----

TEST(Errors, FallWithEveryBit) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const TestMatrix w = generator.make(96, 128, 14);
    for (const Rounding rounding : {Rounding::kRealUniform, Rounding::kUniform, Rounding::kSymmetric, Rounding::kHqq}) {
      double last = std::numeric_limits<double>::infinity();
      for (int bits = 1; bits <= 8; ++bits) {
        const double error = error_of({.rounding = rounding, .bits = bits}, w);
        EXPECT_LT(error, last) << generator.name << ", rounding " << static_cast<int>(rounding) << ", bits " << bits;
        last = error;
      }
    }
  }
}

TEST(Errors, AreNoLargerWithTheGuard) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const TestMatrix w = generator.make(64, 128, 5);
    for (int bits = 1; bits <= 8; ++bits) {
      Method method{.bits = bits};
      const double guarded = error_of(method, w);
      method.semantics = Semantics::kUnguarded;
      EXPECT_LE(guarded, 1.001 * error_of(method, w)) << generator.name << ", bits " << bits;
    }
  }
}

// A step is half as wide with one bit more, and 255 / 15 = 17 times with four.
TEST(Errors, ScaleWithTheStep) {
  const TestMatrix w = sinq::test::generators::gaussian(128, 128, 15);
  const double four = error_of({.bits = 4}, w), eight = error_of({.bits = 8, .aux = AuxFormat::kF32}, w);
  EXPECT_NEAR(four / eight, 17.0, 1.0);
}

// FORMAT.md 8.8: 0.091 against 0.111 for lognormal row and column scales.
TEST(Errors, AreSmallerWithSinkhornOnMixedScales) {
  const TestMatrix w = sinq::test::generators::mixed_scales(256, 256, 16);
  for (const Rounding rounding : {Rounding::kRealUniform, Rounding::kNf4, Rounding::kHqq, Rounding::kSymmetric}) {
    EXPECT_LT(error_of({.rounding = rounding}, w),
              0.95 * error_of({.rounding = rounding, .balance = Balance::kIdentity}, w))
        << static_cast<int>(rounding);
  }
}

// 255 logarithmic steps over an octave or two are 0.5% apart, 255 linear ones over 3 * 2^bits codes a twentieth of a
// code at 4 bits: neither is seen beside a rounding error of a third of a code.
TEST(Errors, HardlyGrowWithEightBitAux) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const TestMatrix w = generator.make(200, 128, 17);
    for (const int bits : {2, 3, 4}) {
      EXPECT_LT(error_of({.bits = bits, .aux = AuxFormat::kU8}, w), 1.02 * error_of({.bits = bits}, w))
          << generator.name << ", bits " << bits;
    }
  }
}

// 63 logarithmic steps over an octave or two are 2% to 3% apart: a scale that is off by 1% costs 15 codes an eighth of
// a code at their ends.
TEST(Errors, GrowLittleWithSixBitAux) {
  for (const auto& generator : sinq::test::ordinary_generators()) {
    const TestMatrix w = generator.make(200, 128, 17);
    for (const int bits : {2, 3, 4}) {
      EXPECT_LT(error_of({.bits = bits, .aux = AuxFormat::kU6}, w), 1.1 * error_of({.bits = bits}, w))
          << generator.name << ", bits " << bits;
    }
  }
}

// Issue: a group's range is extended where needed so that its zero point lies within [-2^bits, 2^(bits+1)].
TEST(EightBitAux, BoundsZeroPoints) {
  for (const auto* list : {&sinq::test::ordinary_generators(), &sinq::test::degenerate_generators()}) {
    for (const auto& generator : *list) {
      for (const int bits : {1, 2, 4, 8}) {
        const TestMatrix w = generator.make(70, 64, 18);
        const Method method{.bits = bits, .aux = AuxFormat::kU8};
        const ReadBack q = quantized(method, w);
        // Zero points follow the stored scale, so that the range's lower end stays; with rows that span 20 octaves,
        // half a step of 20 / 255 octaves is 2.7%. The block's own minimum and step add 2^-10 of the range.
        const double slack = (0.027 + 0x1p-9) * std::exp2(bits);
        for (const float zero : q.zero) {
          EXPECT_GE(zero, -std::exp2(bits) - slack) << generator.name << ", bits " << bits;
          EXPECT_LE(zero, std::exp2(bits + 1) + slack) << generator.name << ", bits " << bits;
        }
      }
    }
  }
}

// Constant and outlier rows spoil nobody else: their block of 64 rows shares minimum and step with them.
TEST(EightBitAux, OneWildRowSpoilsNoOther) {
  TestMatrix w = sinq::test::generators::gaussian(64, 64, 19);
  const Method method{.balance = Balance::kIdentity, .aux = AuxFormat::kU8};
  const auto error_of_others = [&](const TestMatrix& m) {
    const TestMatrix back = decoded(method, m);
    double error = 0.0;
    for (Index r = 1; r < m.rows; ++r) {
      for (Index c = 0; c < m.cols; ++c) error += std::pow(static_cast<double>(back(r, c) - m(r, c)), 2);
    }
    return std::sqrt(error);
  };
  const double before = error_of_others(w);
  for (const float wild : {0.7F, 1e3F, -1e3F}) {
    for (Index c = 0; c < w.cols; ++c) w(0, c) = wild;
    EXPECT_LT(error_of_others(w), 1.05 * before) << wild;
  }
}

}  // namespace
