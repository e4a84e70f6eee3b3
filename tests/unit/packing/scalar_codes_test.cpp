#include <sinq/packing/pack_rows.hpp>
#include <sinq/packing/scalar_codes.hpp>

#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

namespace {

using sinq::Index;
using sinq::Layout;
using sinq::detail::ScalarCodes;

TEST(ScalarCodes, AreWhateverIsNothingElse) {
  EXPECT_TRUE(ScalarCodes::holds({}));
  EXPECT_FALSE(ScalarCodes::holds({.quarter_bits = 8}));
}

TEST(ScalarCodes, RefuseWhatMakesNoSense) {
  EXPECT_FALSE(ScalarCodes::find_flaw({.bits = 8}).has_value());
  EXPECT_FALSE(ScalarCodes::find_flaw({.bits = 3, .level_count = 8}).has_value());
  EXPECT_EQ(ScalarCodes::find_flaw({.bits = 0})->text, "bits 0 is not in 1..8");
  EXPECT_EQ(ScalarCodes::find_flaw({.bits = 9})->text, "bits 9 is not in 1..8");
  EXPECT_EQ(ScalarCodes::find_flaw({.bits = 3, .level_count = 4})->text,
            "level_count 4 is neither 0 nor 2^bits, bits = 3");
}

TEST(ScalarCodes, HaveRowsOfWholeBytes) {
  const ScalarCodes codes(Layout{.rows = 10, .cols = 100, .bits = 3});
  EXPECT_EQ(codes.row_bytes(), 38);  // 300 bits
  EXPECT_EQ(codes.code_shape().size(), 380);
  EXPECT_EQ(codes.bytes_before(64), 24);
  EXPECT_EQ(codes.code_offset(2, 64), 2 * 38 + 24);
  EXPECT_EQ(codes.row_step(), 1);
}

TEST(ScalarCodes, LookIntoTables) {
  float levels[4] = {-1.0F, 0.0F, 0.5F, 1.0F};
  const ScalarCodes codes(Layout{.bits = 2, .level_count = 4});
  EXPECT_EQ(codes.level_shape().size(), 4);
  EXPECT_FALSE(codes.find_level_flaw(reinterpret_cast<const std::byte*>(levels)).has_value());
  levels[2] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(codes.find_level_flaw(reinterpret_cast<const std::byte*>(levels)), "level 2 is not finite");
}

TEST(ScalarCodes, UnpackWhatTheyPacked) {
  for (int bits = 1; bits <= 8; ++bits) {
    const Layout layout{.rows = 3, .cols = 77, .bits = bits};
    const ScalarCodes codes(layout);
    std::vector<std::uint8_t> plain(3 * 80, 0), stored(static_cast<std::size_t>(codes.code_shape().size()));
    for (Index r = 0; r < 3; ++r) {
      for (Index c = 0; c < 77; ++c) {
        plain[static_cast<std::size_t>(r * 80 + c)] = static_cast<std::uint8_t>((r * 31 + c * 7) % (1 << bits));
      }
    }
    for (const sinq::Isa isa : sinq::test::supported_isas()) {
      sinq::dispatch(isa, [&](auto tag) {
        using Tag = decltype(tag);
        for (Index r = 0; r < 3; ++r) {
          codes.packer<Tag>()(plain.data() + r * 80, 77, stored.data() + codes.code_offset(r, 0));
        }
        std::vector<std::uint8_t> out(2 * 64, 0xee);
        codes.unpack<Tag>({stored.data()}, {1, 3}, {16, 77}, out.data(), 64);
        for (Index r = 1; r < 3; ++r) {
          for (Index c = 16; c < 77; ++c) {
            ASSERT_EQ(out[static_cast<std::size_t>((r - 1) * 64 + c - 16)], plain[static_cast<std::size_t>(r * 80 + c)])
                << bits << " bits, row " << r << ", column " << c;
          }
        }
      });
    }
  }
}

}  // namespace
