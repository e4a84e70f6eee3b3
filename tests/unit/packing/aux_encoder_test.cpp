#include <sinq/packing/aux_encoder.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using sinq::AuxBlock;
using sinq::AuxCurve;
using sinq::AuxFormat;
using sinq::half_to_float;
using sinq::Index;
using sinq::detail::aux_block;
using sinq::detail::encode_aux;

/// Encodes up to 64 values and decodes them again.
struct RoundTrip {
  std::vector<float> decoded;  ///< by decode_aux
  std::vector<float> stored;   ///< what encode_aux says a reader will see
};

RoundTrip round_trip(AuxFormat format, AuxCurve curve, std::vector<float> values, sinq::Isa isa) {
  const auto count = static_cast<Index>(values.size());
  values.resize(values.size() + 16, 0.0F);  // room for whole vectors
  std::vector<std::byte> bytes(static_cast<std::size_t>(aux_bytes(format, count)) + 1, std::byte{0xa5});
  AuxBlock block;
  RoundTrip out{std::vector<float>(static_cast<std::size_t>(count)), std::vector<float>(values.size())};
  encode_aux(format, curve, {bytes.data(), reinterpret_cast<std::byte*>(&block)}, {0, count}, values.data(),
             out.stored.data(), isa);
  EXPECT_EQ(bytes.back(), std::byte{0xa5}) << "wrote beyond the end";
  out.stored.resize(static_cast<std::size_t>(count));
  decode_aux(format, curve, {bytes.data(), reinterpret_cast<const std::byte*>(&block)}, {0, count}, out.decoded.data());
  return out;
}

std::vector<float> random_values(Index count, double spread, double offset, std::uint64_t seed) {
  sinq::test::Random random(seed);
  std::vector<float> out;
  for (Index i = 0; i < count; ++i) out.push_back(static_cast<float>(offset + spread * random.gaussian()));
  return out;
}

std::vector<std::pair<sinq::Isa, AuxFormat>> isas_and_formats() {
  std::vector<std::pair<sinq::Isa, AuxFormat>> out;
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const AuxFormat format : {AuxFormat::kU8, AuxFormat::kU6}) out.emplace_back(isa, format);
  }
  return out;
}

TEST(AuxBlockTest, ReachesFromEndToEnd) {
  sinq::test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto low = static_cast<float>(random.gaussian() * std::exp2(random.uniform() * 20 - 10));
    const auto high = low + static_cast<float>(random.uniform() * std::exp2(random.uniform() * 20 - 10));
    const float steps = i % 2 == 0 ? 255.0F : 63.0F;
    const AuxBlock block = aux_block(low, high, steps);
    const float minimum = half_to_float(block.minimum), step = half_to_float(block.step);
    ASSERT_LE(minimum, low);
    ASSERT_GE(minimum + steps * step, high) << low << " " << high;
    // Rounding outwards by one half each: 2^-10 of the minimum, and of the step.
    const float slack = 0x1p-9F * (std::fabs(low) + (high - low)) + 256 * 0x1p-24F;
    ASSERT_LE(minimum + steps * step, high + slack) << low << " " << high;
  }
}

TEST(AuxBlockTest, ConstantAndZeroBlocks) {
  EXPECT_EQ(half_to_float(aux_block(0.0F, 0.0F, 255.0F).minimum), 0.0F);
  EXPECT_EQ(aux_block(0.0F, 0.0F, 255.0F).step, 0);
  EXPECT_EQ(half_to_float(aux_block(-2.0F, -2.0F, 63.0F).minimum), -2.0F);
  EXPECT_EQ(aux_block(-2.0F, -2.0F, 63.0F).step, 0);
}

TEST(AuxEncoder, FloatsAreKept) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    const auto values = random_values(64, 1e10, 0.0, 2);
    const RoundTrip q = round_trip(AuxFormat::kF32, AuxCurve::kLinear, values, isa);
    EXPECT_EQ(q.decoded, values);
    EXPECT_EQ(q.stored, values);
  }
}

TEST(AuxEncoder, HalvesAreRoundedToNearest) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const Index count : {1, 7, 16, 33, 64}) {
      const auto values = random_values(count, 1.0, 0.0, static_cast<std::uint64_t>(count));
      const RoundTrip q = round_trip(AuxFormat::kF16, AuxCurve::kLinear, values, isa);
      for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(q.decoded[i], half_to_float(sinq::float_to_half(values[i])));
        EXPECT_EQ(q.stored[i], q.decoded[i]) << name(isa);
      }
    }
  }
}

double steps_of(AuxFormat format) { return format == AuxFormat::kU8 ? 255.0 : 63.0; }

// Half a step over the block's range, and the rounding of the block's own two halves.
TEST(AuxEncoder, LinearCodesAreWithinHalfAStep) {
  for (const auto& [isa, format] : isas_and_formats()) {
    for (const double offset : {0.0, 7.5, -1000.0}) {
      for (const Index count : {1, 2, 17, 64}) {
        const auto values = random_values(count, 3.0, offset, 3);
        const RoundTrip q = round_trip(format, AuxCurve::kLinear, values, isa);
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        const double step = (static_cast<double>(*high) - static_cast<double>(*low)) / steps_of(format) +
                            0x1p-10 * std::abs(offset) / steps_of(format) + 0x1p-20 * std::abs(offset);
        EXPECT_TRUE(sinq::test::all_near(q.decoded, values, 0x1p-23, 0.51 * step * (1 + 0x1p-9)))
            << name(isa) << ", offset " << offset << ", count " << count;
        EXPECT_TRUE(sinq::test::all_near(q.stored, q.decoded, 1e-6)) << name(isa);
      }
    }
  }
}

// Half a step over the octaves.
TEST(AuxEncoder, LogarithmicCodesAreWithinHalfAStepOfOctaves) {
  for (const auto& [isa, format] : isas_and_formats()) {
    for (const double octaves : {0.0, 1.0, 4.0, 20.0}) {
      sinq::test::Random random(4);
      std::vector<float> values;
      for (int i = 0; i < 64; ++i) values.push_back(static_cast<float>(std::exp2(octaves * random.uniform() - 7)));
      const RoundTrip q = round_trip(format, AuxCurve::kLogarithmic, values, isa);
      // The minimum's own rounding is 2^-11 of 7 octaves.
      const double relative =
          std::exp2(0.5 * (octaves + 0.02) / steps_of(format) * 1.01) - 1.0 + (octaves == 0.0 ? 0.006 : 0.0);
      EXPECT_TRUE(sinq::test::all_near(q.decoded, values, relative + 1e-6)) << name(isa) << ", octaves " << octaves;
      // The reader's exp2 and the encoder's differ by the last digits of float.
      EXPECT_TRUE(sinq::test::all_near(q.stored, q.decoded, 1e-6)) << name(isa);
    }
  }
}

TEST(AuxEncoder, ZeroScalesStayFinite) {
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    const RoundTrip q = round_trip(AuxFormat::kU8, AuxCurve::kLogarithmic, {0.0F, 1.0F, 1e-38F}, isa);
    EXPECT_TRUE(sinq::test::all_finite(q.decoded));
    EXPECT_NEAR(q.decoded[1], 1.0F, 0.2F) << "half a step of a hundred octaves";
    EXPECT_LT(q.decoded[0], 1e-25F);
  }
}

TEST(AuxEncoder, InstructionSetsStoreTheSameBytes) {
  // Linear values: no logarithm, whose last digit may differ.
  const auto values = random_values(64, 5.0, 3.0, 5);
  std::vector<float> padded = values;
  padded.resize(80);
  std::vector<std::byte> expected(64);
  AuxBlock expected_block;
  std::vector<float> stored(80);
  encode_aux(AuxFormat::kU8, AuxCurve::kLinear, {expected.data(), reinterpret_cast<std::byte*>(&expected_block)},
             {0, 64}, padded.data(), stored.data(), sinq::Isa::kPortable);
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    std::vector<std::byte> actual(64);
    AuxBlock block;
    encode_aux(AuxFormat::kU8, AuxCurve::kLinear, {actual.data(), reinterpret_cast<std::byte*>(&block)}, {0, 64},
               padded.data(), stored.data(), isa);
    EXPECT_EQ(actual, expected) << name(isa);
    EXPECT_EQ(block.minimum, expected_block.minimum);
    EXPECT_EQ(block.step, expected_block.step);
  }
}

}  // namespace
