#include <sinq/packing/pack_rows.hpp>
#include <sinq/packing/vector_codes.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::Index;
using sinq::Layout;
using sinq::SignStorage;
using sinq::detail::VectorCodes;

TEST(VectorCodes, RefuseWhatMakesNoSense) {
  EXPECT_TRUE(VectorCodes::holds({.vector_dim = 4}));
  EXPECT_FALSE(VectorCodes::holds({}));
  EXPECT_FALSE(VectorCodes::find_flaw({.bits = 9, .vector_dim = 4, .level_count = 512}).has_value());
  EXPECT_EQ(VectorCodes::find_flaw({.vector_dim = 3})->text, "vector_dim 3 is not 1, 2, 4 or 8");
  EXPECT_EQ(VectorCodes::find_flaw({.bits = 17, .vector_dim = 4})->text, "bits 17 is not in 1..16");
  EXPECT_EQ(VectorCodes::find_flaw({.vector_dim = 2})->text, "vector_dim 2 needs a table of levels");
  EXPECT_EQ(VectorCodes::find_flaw({.vector_dim = 2, .level_count = 8})->text, "level_count 8 is not 2^bits, bits = 4");
}

TEST(VectorCodes, LookIntoTables) {
  std::int8_t levels[8] = {0, 1, -127, 3, 4, 5, 127, 7};
  const auto flaw = [&](SignStorage signs) {
    return VectorCodes(Layout{.bits = 2, .vector_dim = 2, .level_count = 4, .signs = signs})
        .find_level_flaw(reinterpret_cast<const std::byte*>(levels));
  };
  EXPECT_FALSE(flaw(SignStorage::kInLevels).has_value());
  EXPECT_EQ(flaw(SignStorage::kSeparate), "component 2 is -127, which is less than 0");
  levels[6] = -128;
  EXPECT_EQ(flaw(SignStorage::kInLevels), "component 6 is -128, which is less than -127");
}

/// Against code_at, for parts of rows that start on whole bytes and inside of one.
TEST(VectorCodes, UnpackEntriesAndSigns) {
  sinq::test::Random random(3);
  for (const int dim : {2, 4, 8}) {
    for (const int bits : {1, 3, 6, 8, 9, 11}) {
      const Layout layout{.rows = 2,
                          .cols = 8 * 150 + 5,
                          .bits = bits,
                          .vector_dim = dim,
                          .level_count = Index{1} << bits,
                          .signs = SignStorage::kSeparate};
      const VectorCodes codes(layout);
      std::vector<std::uint8_t> stored(static_cast<std::size_t>(codes.code_shape().size()));
      std::vector<std::uint8_t> signs(static_cast<std::size_t>(codes.sign_shape().size()));
      std::vector<std::byte> levels(static_cast<std::size_t>(codes.level_shape().size()));
      for (auto& b : stored) b = static_cast<std::uint8_t>(random.between(0, 255));
      for (auto& b : signs) b = static_cast<std::uint8_t>(random.between(0, 255));
      for (auto& b : levels) b = static_cast<std::byte>(random.between(0, 127));
      for (const sinq::Isa isa : sinq::test::supported_isas()) {
        for (const Index first : {Index{0}, Index{8}, Index{64}}) {
          const Index stride = sinq::round_up(layout.cols - first, 16);
          std::vector<std::uint8_t> out(static_cast<std::size_t>(2 * stride));
          sinq::dispatch(isa, [&](auto tag) {
            codes.unpack<decltype(tag)>({stored.data(), signs.data(), levels.data()}, {0, 2}, {first, layout.cols},
                                        out.data(), stride);
          });
          for (Index r = 0; r < 2; ++r) {
            for (Index c = first; c < layout.cols; ++c) {
              const auto code = sinq::code_at(stored.data() + codes.code_offset(r, 0), c / dim, bits);
              const auto at = static_cast<std::size_t>(static_cast<Index>(code) * dim + c % dim);
              const bool is_negative = (signs[static_cast<std::size_t>(codes.sign_offset(r, c))] >> (c % 8) & 1) != 0;
              const int level = static_cast<int>(levels[at]) * (is_negative ? -1 : 1);
              ASSERT_EQ(out[static_cast<std::size_t>(r * stride + c - first)], level + sinq::detail::kLevelZero)
                  << bits << " bits, d " << dim << ", row " << r << ", column " << c;
            }
          }
        }
      }
    }
  }
}

}  // namespace
