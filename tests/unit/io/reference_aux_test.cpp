#include <sinq/half.hpp>
#include <sinq/io/reference_aux.hpp>

#include "io_support.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::decode_reference_aux;
using sinq::io::DType;
using sinq::io::encode_reference_aux;
using sinq::io::ReferenceAuxCodes;

std::vector<float> decoded(const ReferenceAuxCodes& coded, DType type) {
  std::vector<float> out(coded.codes.size());
  decode_reference_aux(coded, type, out);
  return out;
}

TEST(ReferenceAux, ColumnsAreStrided) {
  // [2, 3]: columns {0, 255}, {1, 1} and {-2, 508}.
  const auto coded = encode_reference_aux(std::array{0.0F, 1.0F, -2.0F, 255.0F, 1.0F, 508.0F}, 2, DType::kF32);
  EXPECT_EQ(coded.rows, 2);
  EXPECT_EQ(coded.cols, 3);
  EXPECT_THAT(coded.codes, testing::ElementsAre(0, 0, 0, 255, 0, 255));
  EXPECT_THAT(coded.step, testing::ElementsAre(1.0F, 0.0F, 2.0F));
  EXPECT_THAT(coded.minimum, testing::ElementsAre(0.0F, 1.0F, -2.0F));
  EXPECT_EQ(decoded(coded, DType::kF32), (std::vector<float>{0.0F, 1.0F, -2.0F, 255.0F, 1.0F, 508.0F}));
}

TEST(ReferenceAux, RoundsHalfToEven) {
  const auto coded = encode_reference_aux(std::array{0.0F, 0.5F, 1.5F, 2.5F, 255.0F}, 5, DType::kF32);
  EXPECT_THAT(coded.codes, testing::ElementsAre(0, 0, 2, 2, 255));
}

TEST(ReferenceAux, AStepThatUnderflowsGivesTheMinimum) {
  // 2^-24 is the least float16; a 255th of it is nothing, and what lies above the minimum gets the last code.
  const auto coded = encode_reference_aux(std::array{0.0F, 0x1p-24F}, 2, DType::kF16);
  EXPECT_EQ(coded.step[0], 0.0F);
  EXPECT_THAT(coded.codes, testing::ElementsAre(0, 255));
  EXPECT_EQ(decoded(coded, DType::kF16), (std::vector<float>{0.0F, 0.0F}));
}

TEST(ReferenceAux, Float16RoundsTheProductAndTheSum) {
  // Around 3 the steps are 2^-9. 3 * (1 + 2^-10) is 1.5 steps above 3 and rounds to 2 (even), one more step makes 3;
  // one rounding of the exact 2.5 steps would give 2.
  const ReferenceAuxCodes coded{1, 1, {3}, {1.0F + 0x1p-10F}, {0x1p-9F}};
  EXPECT_EQ(decoded(coded, DType::kF16)[0], 3.0F + 3 * 0x1p-9F);
  EXPECT_EQ(decoded(coded, DType::kF32)[0], 3.0F + 3 * 0x1p-10F + 0x1p-9F);
}

TEST(ReferenceAux, Float32RoundsTwice) {
  // 3 * (1 + 2^-23) = 3 + 1.5 * 2^-22, a tie that rounds to even, 3 + 2^-21; a fused product and sum would keep the
  // half.
  const ReferenceAuxCodes coded{1, 1, {3}, {1.0F + 0x1p-23F}, {-3.0F}};
  EXPECT_EQ(decoded(coded, DType::kF32)[0], 0x1p-21F);
}

TEST(ReferenceAux, TheTypeLimitsStepAndMinimum) {
  const std::vector<float> values{sinq::half_to_float(0x2e66), sinq::half_to_float(0x3555)};
  const auto coded = encode_reference_aux(values, 2, DType::kF16);
  EXPECT_EQ(coded.step[0], sinq::half_to_float(sinq::float_to_half(coded.step[0])));
  EXPECT_EQ(decoded(coded, DType::kF16)[0], values[0]);
  EXPECT_NEAR(decoded(coded, DType::kF16)[1], values[1], 255 * values[1] * 0x1p-11F);  // the step is off by half an ulp
}

TEST(ReferenceAux, RefusesCountsThatDoNotFit) {
  sinq_test::expect_error(
      Errc::kBadShape,
      [] {
        static_cast<void>(encode_reference_aux(std::array{1.0F, 2.0F, 3.0F}, 2, DType::kF32));
      },
      "quantAux: 3 values are not a positive multiple of 2");
  sinq_test::expect_error(
      Errc::kBadShape, [] { static_cast<void>(encode_reference_aux({}, 32, DType::kF32)); }, "0 values");
}

}  // namespace
