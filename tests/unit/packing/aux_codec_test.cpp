#include <sinq/packing/aux_codec.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using sinq::AuxBlock;
using sinq::AuxColumn;
using sinq::AuxCurve;
using sinq::AuxFormat;
using sinq::decode_aux;
using sinq::float_to_half;
using sinq::Index;

static_assert(sinq::aux_bytes(AuxFormat::kF32, 3) == 12 && sinq::aux_bytes(AuxFormat::kF16, 3) == 6 &&
              sinq::aux_bytes(AuxFormat::kU8, 3) == 3 && sinq::aux_bytes(AuxFormat::kU6, 3) == 3 &&
              sinq::aux_bytes(AuxFormat::kU6, 64) == 48);
static_assert(sinq::aux_blocks(1) == 1 && sinq::aux_blocks(64) == 1 && sinq::aux_blocks(65) == 2);

template <class T>
const std::byte* bytes(const std::vector<T>& v) {
  return reinterpret_cast<const std::byte*>(v.data());
}

TEST(AuxCodec, DecodesFloats) {
  const std::vector<float> values{1.5F, -2.25F, 3e-30F, 1e30F};
  float out[2];
  decode_aux(AuxFormat::kF32, AuxCurve::kLogarithmic, {bytes(values), nullptr}, {1, 3}, out);
  EXPECT_EQ(out[0], -2.25F);
  EXPECT_EQ(out[1], 3e-30F);
}

TEST(AuxCodec, DecodesHalves) {
  const std::vector<std::uint16_t> values{float_to_half(1.5F), float_to_half(-2.25F), 0x0001};
  float out[3];
  decode_aux(AuxFormat::kF16, AuxCurve::kLinear, {bytes(values), nullptr}, {0, 3}, out);
  EXPECT_EQ(out[0], 1.5F);
  EXPECT_EQ(out[1], -2.25F);
  EXPECT_EQ(out[2], 0x1p-24F);
}

TEST(AuxCodec, DecodesUnalignedMemory) {
  std::vector<std::byte> memory(9);
  const float value = 0.75F;
  std::memcpy(memory.data() + 5, &value, 4);
  float out = 0.0F;
  decode_aux(AuxFormat::kF32, AuxCurve::kLinear, {memory.data() + 1, nullptr}, {1, 2}, &out);
  EXPECT_EQ(out, 0.75F);
}

// All 256 codes, against double arithmetic from the documented formula.
TEST(AuxCodec, DecodesEveryCodeOnBothCurves) {
  const AuxBlock block{.minimum = float_to_half(-3.25F), .step = float_to_half(0.03125F)};
  for (int code = 0; code < 256; ++code) {
    const double linear = -3.25 + 0.03125 * code;
    EXPECT_EQ(sinq::aux_value(block, AuxCurve::kLinear, static_cast<std::uint8_t>(code)), linear);
    // One rounding of exp2, which may be an ulp or so off in the C library.
    EXPECT_NEAR(sinq::aux_value(block, AuxCurve::kLogarithmic, static_cast<std::uint8_t>(code)), std::exp2(linear),
                std::exp2(linear) * 2.5e-7);
  }
}

TEST(AuxCodec, EachBlockOf64RowsHasItsOwnParameters) {
  std::vector<std::uint8_t> codes(130);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i % 7);
  const std::vector<AuxBlock> blocks{{float_to_half(0.0F), float_to_half(1.0F)},
                                     {float_to_half(100.0F), float_to_half(2.0F)},
                                     {float_to_half(-50.0F), float_to_half(0.5F)}};
  const float minimum[] = {0.0F, 100.0F, -50.0F};
  const float step[] = {1.0F, 2.0F, 0.5F};
  std::vector<float> out(codes.size());
  decode_aux(AuxFormat::kU8, AuxCurve::kLinear, {bytes(codes), bytes(blocks)}, {0, 130}, out.data());
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i], minimum[i / 64] + step[i / 64] * static_cast<float>(i % 7)) << i;
  }
  decode_aux(AuxFormat::kU8, AuxCurve::kLinear, {bytes(codes), bytes(blocks)}, {63, 65}, out.data());
  EXPECT_EQ(out[0], 0.0F + 63 % 7);
  EXPECT_EQ(out[1], 100.0F + 2.0F * (64 % 7));
}

}  // namespace
