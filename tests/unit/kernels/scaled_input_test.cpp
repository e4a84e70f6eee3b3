#include <sinq/kernels/scaled_input.hpp>
#include <sinq/kernels/trellis.hpp>

#include "random_matrix.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

/// What the kernels will take column `col` of activation `b` for.
double value_of(const detail::InputView& v, Index b, Index col) {
  const Index in_group = col % v.blocks.group_size;
  const Index block = col / v.blocks.group_size * v.blocks.per_group + in_group / kMaxBlockCols;
  const Index at = in_group % kMaxBlockCols;
  if (v.digits == 0) return static_cast<double>(v.values[(block * v.blocks.stride + at) * v.batch + b]);
  const Index byte = at / 4 * 4 * v.batch + 4 * b + at % 4;
  int q = v.digit(0, block)[byte];
  if (v.digits == 2) q = 128 * q + v.digit(1, block)[byte];
  return static_cast<double>(q) * static_cast<double>(v.scales[block * v.batch + b]);
}

TEST(ScaledInput, HoldsScaledActivationsToItsPrecision) {
  for (const Isa isa : supported_isas()) {
    for (const Index cols : {1, 5, 64, 100, 300, 1000}) {
      for (const Index group : {8, 24, 64, 128, 600, 2000}) {
        for (const Index batch : {1, 3}) {
          const QuantizedMatrix q = random_matrix(make_layout(4, cols, 4, group));
          const std::vector<float> x = gaussian(batch * cols);
          for (const Precision precision : {Precision::kFloat, Precision::kInt15, Precision::kInt8}) {
            ScaledInput in;
            in.assign(q, Activations(x.data(), batch, cols), precision, isa);
            const detail::InputView v = in.view(0);
            for (Index b = 0; b < batch; ++b) {
              for (Index block = 0; block < v.blocks.count; ++block) {
                const Index first = v.blocks.first_col(block);
                const Index end = first + v.blocks.col_count(block);
                std::vector<double> want;
                double largest = 0.0, sum = 0.0;
                for (Index c = first; c < end; ++c) {
                  float scale = 0.0F;
                  q.view().col_scales(0, {c, c + 1}, &scale);
                  want.push_back(0.25 * static_cast<double>(scale) *
                                 static_cast<double>(x[static_cast<std::size_t>(b * cols + c)]));
                  largest = std::max(largest, std::fabs(want.back()));
                }
                const double steps = precision == Precision::kFloat   ? 1e7
                                     : precision == Precision::kInt15 ? 16256.0
                                                                      : 127.0;
                for (Index c = first; c < end; ++c) {
                  const double got = value_of(v, b, c);
                  sum += got;
                  ASSERT_NEAR(got, want[static_cast<std::size_t>(c - first)], 0.501 * largest / steps + 1e-7 * largest)
                      << name(isa) << " cols " << cols << " group " << group << " column " << c;
                }
                // The sum is of what the kernels see, not of the exact activations.
                ASSERT_NEAR(static_cast<double>(v.sums[block * batch + b]), sum, 1e-5 * largest);
              }
            }
          }
        }
      }
    }
  }
}

TEST(ScaledInput, TakesEveryScalarType) {
  constexpr Index kCols = 77;
  const QuantizedMatrix q = random_matrix(make_layout(4, kCols, 4, 32));
  std::vector<std::uint16_t> f16, bf16;
  std::vector<float> from_f16, from_bf16;
  std::vector<double> f64;
  std::vector<float> f32 = gaussian(kCols);
  for (const float x : f32) {
    f16.push_back(float_to_half(x));
    from_f16.push_back(half_to_float(f16.back()));
    bf16.push_back(float_to_bfloat16(x));
    from_bf16.push_back(bfloat16_to_float(bf16.back()));
    f64.push_back(static_cast<double>(x));
  }
  const auto same = [&](const void* data, ScalarType type, const std::vector<float>& floats) {
    for (const Isa isa : supported_isas()) {
      ScaledInput a, b;
      a.assign(q, Activations(data, type, 1, kCols), Precision::kFloat, isa);
      b.assign(q, floats, Precision::kFloat, isa);
      for (Index c = 0; c < kCols; ++c) ASSERT_EQ(value_of(a.view(0), 0, c), value_of(b.view(0), 0, c)) << name(isa);
    }
  };
  same(f16.data(), ScalarType::kF16, from_f16);
  same(bf16.data(), ScalarType::kBf16, from_bf16);
  same(f64.data(), ScalarType::kF64, f32);
}

TEST(ScaledInput, IsReusableForOtherShapes) {
  ScaledInput in;
  for (const Index cols : {300, 40, 300, 7}) {
    for (const Precision precision : {Precision::kInt8, Precision::kFloat, Precision::kInt15}) {
      const QuantizedMatrix q = random_matrix(make_layout(4, cols, 4, 64));
      const std::vector<float> x = gaussian(cols);
      in.assign(q, x, precision);
      ScaledInput fresh;
      fresh.assign(q, x, precision);
      for (Index c = 0; c < cols; ++c) ASSERT_EQ(value_of(in.view(0), 0, c), value_of(fresh.view(0), 0, c));
      // Behind a block's last column are zeros, which kernels multiply with whatever is there.
      const detail::InputView v = in.view(0);
      if (v.digits == 0) continue;
      for (Index i = v.blocks.col_count(v.blocks.count - 1); i < v.blocks.stride; ++i) {
        ASSERT_EQ(v.digit(0, v.blocks.count - 1)[i], 0);
      }
    }
  }
}

TEST(ScaledInput, HasOnePlanePerRowOfSquares) {
  Layout layout = make_layout(50, 64, 4, 64);
  layout.row_block = 20;
  const QuantizedMatrix q = random_matrix(layout);
  ScaledInput in;
  in.assign(q, gaussian(64));
  EXPECT_EQ(in.planes(), 3);
  in.assign(q.view().row_slice({20, 40}), gaussian(64));
  EXPECT_EQ(in.planes(), 1);
  in.assign(q.view().row_slice({19, 41}), gaussian(64));
  EXPECT_EQ(in.planes(), 3);
}

/// `in` was assigned for another matrix than `q`; what differs is in the message.
testing::AssertionResult refuses(const ScaledInput& in, const QuantizedView& q, std::string_view difference) {
  return throws_error(Errc::kBadShape, {"call", "another matrix", difference}, [&] {
    in.require_fit("call", q, {0, q.rows()});
  });
}

TEST(ScaledInput, BelongsToAllThatEntersIt) {
  const Layout layout = make_layout(48, 128, 4, 64);
  const auto differs = [&](auto change, std::string_view difference) {
    Layout changed = layout;
    change(changed);
    const QuantizedMatrix q = random_matrix(layout), other = random_matrix(changed);
    ScaledInput in;
    in.assign(q, gaussian(128));
    EXPECT_TRUE(refuses(in, other, difference));
    in.assign(other, gaussian(changed.cols));
    EXPECT_TRUE(refuses(in, q, difference));
    in.require_fit("call", other.view(), {0, 48});
  };
  differs([](Layout& l) { l.cols = 64; }, "columns");
  differs([](Layout& l) { l.group_size = 32; }, "groups have");
  differs([](Layout& l) { l.row_block = 16; }, "row blocks");
  differs([](Layout& l) { l.matrix_scale = 0.5F; }, "matrix_scale");
  differs([](Layout& l) { l.aux = AuxFormat::kF32; }, "column scales have");
  differs([](Layout& l) { l.col_scale = ColScaleKind::kNone; }, "column scales have");
  if (resolve(Isa::kBest) == Isa::kPortable) return;  // levels do not enter floats
  differs([](Layout& l) { l.level_count = 16; }, "levels");
}

TEST(ScaledInput, NoticesASingleColumnScaleWhereverItLies) {
  Layout layout = make_layout(48, 128, 4, 64);
  for (const Index row_block : {48, 16}) {
    layout.row_block = row_block;
    QuantizedMatrix q = random_matrix(layout);
    ScaledInput in;
    in.assign(q, gaussian(128));
    in.require_fit("call", q.view(), {0, 48});
    // In place: the matrix's address and shape stay the same.
    put_col_scale(q, layout.row_blocks() * layout.cols - 1, 3.0F);
    EXPECT_TRUE(refuses(in, q, "column 127"));
    if (row_block == 16) in.require_fit("call", q.view(), {0, 32});  // rows that do not use it
    // Wherever the rows are split, one of the parts sees it.
    for (Index split = 1; split < 48; ++split) {
      int refused = 0;
      for (const RowRange rows : {RowRange{0, split}, RowRange{split, 48}}) {
        refused +=
            throws_error(Errc::kBadShape, {"column 127"}, [&] { in.require_fit("call", q.view(), rows); }) ? 1 : 0;
      }
      EXPECT_GE(refused, 1) << split;
    }
    in.assign(q, gaussian(128));
    in.require_fit("call", q.view(), {0, 48});
  }
}

TEST(ScaledInput, BelongsToOneWindow) {
  Layout layout = make_layout(48, 128, 4, 64);
  layout.row_block = 16;
  const QuantizedMatrix q = random_matrix(layout);
  ScaledInput in;
  in.assign(q.view().row_slice({16, 48}), gaussian(128));
  EXPECT_TRUE(refuses(in, q.view().row_slice({0, 32}), "column 0"));
  EXPECT_TRUE(refuses(in, q.view().row_slice({17, 48}), "row blocks"));
  EXPECT_TRUE(refuses(in, q, "row blocks"));
  in.assign(q.view().col_slice({0, 64}), gaussian(64));
  EXPECT_TRUE(refuses(in, q.view().col_slice({64, 128}), "column 0"));
}

TEST(ScaledInput, IsSharedWhereColumnScalesAreTheSame) {
  const QuantizedMatrix q = random_matrix(make_layout(48, 128, 4, 64));
  const QuantizedView top = q.view().row_slice({0, 16}), rest = q.view().row_slice({16, 48});
  ScaledInput in;
  in.assign(repack(top), gaussian(128));
  in.require_fit("call", rest, {0, 32});
  const RepackedMatrix packed = repack(rest);
  in.require_fit("call", packed.view(), {0, 32});
  const ScaledInput copy = in;
  in = ScaledInput();
  copy.require_fit("call", q.view(), {0, 48});
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"call", "never assigned"}, [&] { in.require_fit("call", rest, {0, 1}); }));
}

TEST(ScaledInput, OfIntegersIsNothingForATrellisAsAPlainView) {
  if (resolve(Isa::kBest) == Isa::kPortable) GTEST_SKIP() << "everything is kFloat";
  const QuantizedMatrix q = random_matrix(make_trellis_layout(128, 64, 10, 16));
  const TrellisView view(q.view());
  ScaledInput in;
  in.assign(view, gaussian(64), Precision::kInt8);
  in.require_fit("call", view, {0, 128});
  EXPECT_TRUE(refuses(in, q, "integers"));
  in.assign(q, gaussian(64), Precision::kInt8);
  EXPECT_EQ(in.precision(), Precision::kFloat);
}

TEST(ScaledInput, RefusesWrongShapes) {
  const QuantizedMatrix q = random_matrix(make_layout(4, 64, 4, 64));
  ScaledInput in;
  const std::vector<float> x = gaussian(65);
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"65", "64"}, [&] { in.assign(q, x); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"batch 0"}, [&] { Activations(x.data(), 0, 64); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"stride 63"}, [&] { Activations(x.data(), 1, 64, 63); }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"null"}, [&] { Activations(static_cast<float*>(nullptr), 1, 64); }));
}

}  // namespace
