#include <sinq/packing/bit_packing.hpp>

#include "support/generators.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace {

using sinq::code_at;
using sinq::Index;
using sinq::packed_bytes;
using sinq::with_bits;

constexpr std::uint8_t kPackingCanary = 0xa5;

/// The layout's definition: bit b of code i is bit i * bits + b of the stream, least significant first.
std::vector<std::uint8_t> pack_bit_by_bit(const std::vector<std::uint8_t>& codes, int bits) {
  std::vector<std::uint8_t> out((codes.size() * static_cast<std::size_t>(bits) + 7) / 8, 0);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    for (int b = 0; b < bits; ++b) {
      const std::size_t at = i * static_cast<std::size_t>(bits) + static_cast<std::size_t>(b);
      if ((codes[i] >> b & 1) != 0) out[at / 8] = static_cast<std::uint8_t>(out[at / 8] | 1U << at % 8);
    }
  }
  return out;
}

std::vector<std::uint8_t> random_codes(std::size_t count, int bits, std::uint64_t seed) {
  sinq::test::Random random(seed);
  std::vector<std::uint8_t> codes(count);
  for (auto& c : codes) c = static_cast<std::uint8_t>(random.bits() & ((1U << bits) - 1U));
  return codes;
}

TEST(BitPacking, MatchesTheDefinitionForEveryWidthAndLength) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (std::size_t count = 0; count <= 257; ++count) {
      const auto codes = random_codes(count, bits, count * 8 + static_cast<std::size_t>(bits));
      const auto expected = pack_bit_by_bit(codes, bits);
      const auto n = static_cast<Index>(count);
      ASSERT_EQ(static_cast<std::size_t>(packed_bytes(n, bits)), expected.size());
      std::vector<std::uint8_t> packed(expected.size() + 1, kPackingCanary);
      with_bits(bits, [&](auto b) { sinq::pack<b>(codes.data(), n, packed.data()); });
      ASSERT_EQ(packed.back(), kPackingCanary) << bits << " bits, " << count << " codes: wrote beyond the end";
      packed.pop_back();
      ASSERT_EQ(packed, expected) << bits << " bits, " << count << " codes";
      std::vector<std::uint8_t> unpacked(count + 1, kPackingCanary);
      // Exactly the bytes it may read: a sanitizer sees one more.
      const std::vector<std::uint8_t> exact(packed.begin(), packed.end());
      with_bits(bits, [&](auto b) { sinq::unpack<b>(exact.data(), n, unpacked.data()); });
      ASSERT_EQ(unpacked.back(), kPackingCanary);
      unpacked.pop_back();
      ASSERT_EQ(unpacked, codes) << bits << " bits, " << count << " codes";
    }
  }
}

TEST(BitPacking, EveryCodeInEveryPosition) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (unsigned code = 0; code < 1U << bits; ++code) {
      for (std::size_t position = 0; position < 9; ++position) {
        std::vector<std::uint8_t> codes(9, 0);
        codes[position] = static_cast<std::uint8_t>(code);
        std::vector<std::uint8_t> packed(static_cast<std::size_t>(packed_bytes(9, bits)));
        std::vector<std::uint8_t> unpacked(9);
        with_bits(bits, [&](auto b) {
          sinq::pack<b>(codes.data(), 9, packed.data());
          sinq::unpack<b>(packed.data(), 9, unpacked.data());
        });
        ASSERT_EQ(unpacked, codes) << bits << " bits, code " << code << " at " << position;
        ASSERT_EQ(code_at(packed.data(), static_cast<Index>(position), bits), code);
      }
    }
  }
}

TEST(BitPacking, WrittenDownExamples) {
  const std::array<std::uint8_t, 8> codes{1, 2, 3, 4, 5, 6, 7, 0};
  std::array<std::uint8_t, 4> out{};
  sinq::pack<4>(codes.data(), 4, out.data());
  EXPECT_EQ(out[0], 0x21);
  EXPECT_EQ(out[1], 0x43);
  sinq::pack<3>(codes.data(), 8, out.data());
  // 001 010 011 100 101 110 111 000, first code lowest: 0x1f58d1.
  EXPECT_EQ(out[0], 0xd1);
  EXPECT_EQ(out[1], 0x58);
  EXPECT_EQ(out[2], 0x1f);
}

TEST(BitPacking, SingleCodes) {
  sinq::test::Random random(5);
  for (int bits = 1; bits <= 8; ++bits) {
    constexpr Index kCount = 67;
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(packed_bytes(kCount, bits)), 0);
    std::vector<std::uint32_t> codes;
    for (Index i = 0; i < kCount; ++i) {
      codes.push_back(static_cast<std::uint32_t>(random.bits() & ((1U << bits) - 1U)));
      sinq::put_code(packed.data(), i, bits, codes.back());
    }
    for (Index i = 0; i < kCount; ++i) {
      ASSERT_EQ(code_at(packed.data(), i, bits), codes[static_cast<std::size_t>(i)]) << bits << " bits";
    }
    const std::vector<std::uint8_t> narrow(codes.begin(), codes.end());
    EXPECT_EQ(packed, pack_bit_by_bit(narrow, bits));
  }
}

TEST(BitPacking, WithBitsPassesTheWidth) {
  for (int bits = 1; bits <= 8; ++bits) {
    EXPECT_EQ(with_bits(bits, [](auto b) { return static_cast<int>(decltype(b)::value); }), bits);
  }
}

}  // namespace
