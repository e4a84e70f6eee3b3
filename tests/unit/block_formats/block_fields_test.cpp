#include <sinq/block_formats/block_fields.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace sinq::test {
namespace {

using detail::BitPlane;
using testing::ElementsAre;

TEST(BitPlane, LaysStridesIntoOneByte) {
  const std::array<std::uint8_t, 8> codes{0, 1, 2, 3, 3, 2, 1, 0};
  std::array<std::uint8_t, 2> packed{};
  BitPlane<2, 2>::pack(codes.data(), 8, 0, packed.data());
  EXPECT_THAT(packed, ElementsAre(0 | 2 << 2 | 3 << 4 | 1 << 6, 1 | 3 << 2 | 2 << 4 | 0 << 6));
}

template <int kBits, Index kStride>
void expect_round_trip() {
  std::array<std::uint8_t, 256> codes{}, back{};
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>((i * 37U + 11U) % 64U);
  std::array<std::uint8_t, 256> packed{};
  BitPlane<kBits, kStride>::pack(codes.data(), 256, 6 - kBits, packed.data());
  BitPlane<kBits, kStride>::unpack(packed.data(), 256, 6 - kBits, back.data());
  for (std::size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(back[i], codes[i] >> (6 - kBits) << (6 - kBits)) << i;
}

TEST(BitPlane, RoundTripsTheBitsItHas) {
  expect_round_trip<1, 1>();
  expect_round_trip<1, 32>();
  expect_round_trip<2, 4>();
  expect_round_trip<2, 32>();
  expect_round_trip<4, 16>();
  expect_round_trip<4, 64>();
}

TEST(BlockFields, DecodeByOneRule) {
  const detail::BlockTraits traits{
      .name = "two", .sub_blocks = 2, .sub_size = 2, .least_level = -1, .greatest_level = 1, .greatest_scale = 9};
  detail::BlockFields fields;
  fields.scale = float_to_half(0.5F);
  fields.min = float_to_half(4.0F);
  fields.scales[0] = 3;
  fields.scales[1] = -2;
  fields.mins[1] = 5;
  fields.codes[0] = 0;
  fields.codes[1] = 2;
  fields.codes[2] = 1;
  fields.codes[3] = 2;
  std::array<float, 4> out{};
  detail::decode_fields(traits, fields, out.data());
  EXPECT_THAT(out, ElementsAre(-1.5F, 1.5F, -20.0F, -21.0F));
}

}  // namespace
}  // namespace sinq::test
