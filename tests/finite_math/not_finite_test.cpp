// Every entry point of numbers, compiled as if there were no NaN and no Inf.
#include <sinq/block_formats/block_format.hpp>
#include <sinq/calibration.hpp>
#include <sinq/fold.hpp>
#include <sinq/kernels/matvec.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/quantize.hpp>

#include "finite_math/not_finite_values.hpp"
#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"
#include "support/matrix_view.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Config;
using sinq::Errc;
using sinq::Index;
using sinq::Isa;
using sinq::MatrixView;
using sinq::ScalarType;
using sinq::detail::text;
using sinq::test::has_finite_bits;
using sinq::test::not_finite_values;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

constexpr Index kRows = 40, kCols = 36;

TestMatrix matrix() { return sinq::test::generators::gaussian(kRows, kCols, 1); }

void expect_refused(const MatrixView& w, Index row, Index col, Isa isa) {
  const std::string where = text("[", row, ", ", col, "]");
  const sinq::QuantizeOptions options{.isa = isa};
  EXPECT_TRUE(throws_error(Errc::kBadData, {where, "finite"}, [&] { return sinq::quantize(w, {}, options); }))
      << name(isa);
  EXPECT_TRUE(throws_error(Errc::kBadData, {where, "finite"}, [&] {
    return sinq::balance(w, sinq::Sinkhorn{}, {}, isa);
  })) << name(isa);
}

TEST(NotFinite, WeightsOfEveryTypeAndLayout) {
  for (const Isa isa : sinq::test::supported_isas()) {
    for (const float bad : not_finite_values()) {
      for (const auto& [row, col] : {std::pair<Index, Index>{0, 0}, {39, 35}, {17, 31}, {20, 33}}) {
        TestMatrix w = matrix();
        w(row, col) = bad;
        expect_refused(view(w), row, col, isa);
        std::vector<std::uint16_t> halves, brains;
        for (const float& x : w.values) {
          halves.push_back(sinq::float_to_half(x));
          brains.push_back(sinq::float_to_bfloat16(x));
        }
        expect_refused(MatrixView::row_major(halves.data(), ScalarType::kF16, kRows, kCols), row, col, isa);
        expect_refused(MatrixView::row_major(brains.data(), ScalarType::kBf16, kRows, kCols), row, col, isa);
        std::vector<float> columns;
        for (Index c = 0; c < kCols; ++c) {
          for (Index r = 0; r < kRows; ++r) columns.push_back(w(r, c));
        }
        expect_refused({.rows = kRows, .cols = kCols, .data = columns.data(), .row_stride = 1, .col_stride = kRows},
                       row, col, isa);
      }
    }
  }
}

TEST(NotFinite, WeightsThatLeaveTheirType) {
  std::vector<double> doubles(kRows * kCols, 0.5);
  doubles[kCols + 3] = 1e300;
  TestMatrix w = matrix();
  w(4, 5) = 70000.0F;
  for (const Isa isa : sinq::test::supported_isas()) {
    expect_refused(MatrixView::row_major(doubles.data(), ScalarType::kF64, kRows, kCols), 1, 3, isa);
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[4, 5]"}, [&] {
      return sinq::quantize(view(w), {.input_rounding = sinq::InputRounding::kF16}, {.isa = isa});
    }));
  }
}

TEST(NotFinite, FiniteWeightsAreQuantizedAsEver) {
  const TestMatrix w = matrix();
  for (const Isa isa : sinq::test::supported_isas()) {
    std::vector<float> decoded(w.values.size());
    const sinq::QuantizedMatrix q = sinq::quantize(view(w), {}, {.isa = isa});
    sinq::dequantize_into(q, decoded);
    double error = 0.0, square = 0.0;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      const double d = static_cast<double>(decoded[i]) - static_cast<double>(w.values[i]);
      error += d * d;
      square += static_cast<double>(w.values[i]) * static_cast<double>(w.values[i]);
    }
    EXPECT_LT(error, 0.01 * square) << name(isa);
  }
}

TEST(NotFinite, Importance) {
  const TestMatrix w = matrix();
  for (const float bad : not_finite_values()) {
    std::vector<float> importance(kCols, 1.0F);
    importance[7] = bad;
    EXPECT_TRUE(throws_error(Errc::kBadData, {"col_importance[7]"},
                             [&] { return sinq::quantize(view(w), {}, {.col_importance = importance}); }));
  }
}

TEST(NotFinite, WeightsAndImportanceOfBlockFormats) {
  for (const sinq::BlockFormat format : sinq::kBlockFormats) {
    std::vector<std::byte> out(static_cast<std::size_t>(row_bytes(format, 256)));
    for (const float bad : not_finite_values()) {
      std::vector<float> row(256, 0.5F), importance(256, 1.0F);
      row[200] = bad;
      EXPECT_TRUE(throws_error(Errc::kBadData, {"column 200"}, [&] { encode_row(format, row, importance, out); }));
      row[200] = 0.5F;
      importance[201] = bad;
      EXPECT_TRUE(throws_error(Errc::kBadData, {"column 201"}, [&] { encode_row(format, row, importance, out); }));
    }
    // At the end of binary16's range scales must not become Inf.
    std::vector<float> row(256, 0.0F), decoded(256);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = i % 2 == 0 ? 65504.0F : -65504.0F;
    encode_row(format, row, {}, out);
    decode_row(format, out, decoded.data());
    double error = 0.0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      EXPECT_TRUE(has_finite_bits(decoded[i])) << name(format);
      error += std::abs(static_cast<double>(decoded[i]) - static_cast<double>(row[i]));
    }
    EXPECT_LT(error, 256 * 0.2 * 65504.0) << name(format);
  }
}

TEST(NotFinite, ActivationsOfKernels) {
  const sinq::QuantizedMatrix q = sinq::quantize(view(sinq::test::generators::gaussian(kRows, 128, 2)), Config<>{});
  const sinq::RepackedMatrix repacked = sinq::repack(q.view());
  for (const float bad : not_finite_values()) {
    for (const sinq::Precision precision : {sinq::Precision::kInt15, sinq::Precision::kInt8}) {
      std::vector<float> x(128, 0.25F), y(kRows);
      x[70] = bad;
      matvec(q.view(), x, y, precision);
      for (const float& value : y) EXPECT_FALSE(has_finite_bits(value));
      matvec(repacked.view(), x, y, precision);
      for (const float& value : y) EXPECT_FALSE(has_finite_bits(value));
    }
  }
}

TEST(NotFinite, Calibration) {
  const TestMatrix w = matrix(), x = sinq::test::generators::gaussian(300, kCols, 3);
  sinq::ActivationStats stats(kCols);
  stats.add(view(x));
  sinq::QuantizedMatrix q = sinq::quantize(view(w), Config<>{});
  for (const float bad : not_finite_values()) {
    TestMatrix bad_x = x, bad_w = w;
    bad_x(257, 11) = bad;
    bad_w(9, 5) = bad;
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[257, 11]"}, [&] { stats.add(view(bad_x)); }));
    EXPECT_TRUE(throws_error(Errc::kBadData, {"[9, 5]"}, [&] { gptq(view(bad_w), stats, q); }));
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"damping"}, [&] { gptq(view(w), stats, q, {.damping = bad}); }));
  }
}

TEST(NotFinite, Folding) {
  using namespace sinq::fold;
  TestMatrix w = matrix();
  w(3, 4) = not_finite_values()[0];
  const Edge edge{
      .kind = EdgeKind::kUpDown, .channels = kCols, .producers = {{.tensor = "up"}}, .consumers = {{.tensor = "down"}}};
  const std::vector<TensorShape> shapes{{"up", {kCols, 8}}, {"down", {kRows, kCols}}};
  const Plan plan = make_plan({edge}, shapes);
  EXPECT_TRUE(throws_error(Errc::kBadData, {"row 3, column 4", "nan"},
                           [&] { return find_factors(plan, [&](const std::string&) { return view(w); }); }));
  RangeReport report;
  std::byte out[16];
  const std::vector<double> values{1e300, 1e5, 1.0};
  round_to(ScalarType::kF16, values, out, report);
  EXPECT_EQ(report.overflowed, 2);
  round_to(ScalarType::kF32, values, out, report);
  EXPECT_EQ(report.overflowed, 3);
}

TEST(NotFinite, RoundingOnceKeepsThem) {
  const auto bad = not_finite_values();
  EXPECT_EQ(sinq::double_to_half(static_cast<double>(bad[0])) & 0x7fffU, 0x7e00U);
  EXPECT_EQ(sinq::double_to_half(static_cast<double>(bad[2])), 0xfc00U);
  EXPECT_EQ(sinq::double_to_bfloat16(1e300), 0x7f80U);
  EXPECT_EQ(sinq::double_to_half(1.0 + 0x1p-11 + 0x1p-40), 0x3c01U);
}

TEST(NotFinite, Settings) {
  for (const float bad : not_finite_values()) {
    const auto refuses = [](const auto& quantizer) {
      return throws_error(Errc::kBadConfig, {}, [&] { quantizer.validate(); });
    };
    EXPECT_TRUE(refuses(sinq::Hqq{.p = bad}));
    EXPECT_TRUE(refuses(sinq::Hqq{.beta = bad}));
    EXPECT_TRUE(refuses(sinq::Codebook(std::array{-1.0F, 0.0F, bad, 1.0F})));
    EXPECT_TRUE(refuses(sinq::Sinkhorn{.max_std = bad}));
    sinq::Layout layout{.rows = 8, .cols = 8, .bits = 4, .group_size = 8, .row_block = 8};
    layout.matrix_scale = bad;
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"matrix_scale"}, [&] { validate(layout); }));
  }
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"kurtosis_gate"},
                           [&] { validate(Config<>{.kurtosis_gate = not_finite_values()[0]}); }));
}

}  // namespace
