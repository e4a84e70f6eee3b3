#include <sinq/io/reference_packing.hpp>

#include "io_support.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using sinq::Index;
using sinq::io::DType;
using sinq::io::ReferencePacking;

TEST(ReferencePacking, NamesBitsAndWords) {
  for (const auto& row : sinq::io::detail::kReferencePackings) {
    EXPECT_EQ(&sinq::io::detail::row_of(row.packing), &row);
    EXPECT_EQ(sinq::io::reference_packing_from_name(name(row.packing)), row.packing);
    EXPECT_EQ(sinq::io::reference_packing_of_bits(packed_bits(row.packing)), row.packing);
    EXPECT_LE(row.bits * row.codes_per_word, 8 * sinq::io::dtype_bytes(packed_dtype(row.packing)));
  }
  EXPECT_FALSE(sinq::io::reference_packing_from_name("4bit_32").has_value());
  EXPECT_FALSE(sinq::io::reference_packing_of_bits(7).has_value());
  EXPECT_EQ(name(ReferencePacking::k3Bit32), "3bit_32");
  EXPECT_EQ(packed_dtype(ReferencePacking::k3Bit32), DType::kI32);
}

TEST(ReferencePacking, RowsOfThePackedTensor) {
  EXPECT_EQ(packed_rows(ReferencePacking::k8BitU8, 7), 7);
  EXPECT_EQ(packed_rows(ReferencePacking::k4BitU8, 6), 3);
  EXPECT_EQ(packed_rows(ReferencePacking::k4BitU8, 7), std::nullopt);
  EXPECT_EQ(packed_rows(ReferencePacking::k2BitU8, 6), std::nullopt);
  EXPECT_EQ(packed_rows(ReferencePacking::k1BitU8, 16), 2);
  EXPECT_EQ(packed_rows(ReferencePacking::k3Bit32, 10), 1);
  EXPECT_EQ(packed_rows(ReferencePacking::k3Bit32, 11), 2);
  EXPECT_EQ(packed_rows(ReferencePacking::k5Bit32, 13), 3);
  EXPECT_EQ(packed_rows(ReferencePacking::k6Bit32, 5), 1);
}

/// Of codes [rows, cols] as words of bytes.
std::vector<std::byte> pack(ReferencePacking packing, const std::vector<std::uint8_t>& codes, Index cols) {
  const auto rows = packed_rows(packing, static_cast<Index>(codes.size()) / cols);
  std::vector<std::byte> out(
      static_cast<std::size_t>(rows.value() * cols * sinq::io::dtype_bytes(packed_dtype(packing))), std::byte{0xff});
  pack_reference(packing, codes, out);
  return out;
}

std::vector<std::byte> bytes(const std::vector<int>& values) {
  std::vector<std::byte> out;
  for (const int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

TEST(ReferencePacking, TheFirstRowsStandInTheUpperBits) {
  EXPECT_EQ(pack(ReferencePacking::k8BitU8, {1, 255}, 1), bytes({1, 255}));
  // Rows 0 and 2, rows 1 and 3 share a word.
  EXPECT_EQ(pack(ReferencePacking::k4BitU8, {0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8}, 2),
            bytes({0x15, 0x26, 0x37, 0x48}));
  EXPECT_EQ(pack(ReferencePacking::k2BitU8, {3, 2, 1, 0}, 1), bytes({0b11100100}));
  EXPECT_EQ(pack(ReferencePacking::k1BitU8, {1, 0, 0, 0, 0, 0, 1, 1}, 1), bytes({0b10000011}));
  // Of 11 rows in 2 x 10 fields: row 0 at 27, row 2 at 24 ..., row 10 at 12.
  const auto three = pack(ReferencePacking::k3Bit32, {7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5}, 1);
  EXPECT_EQ(three, bytes({0x00, 0x50, 0x00, 0x38, 0x00, 0x00, 0x00, 0x08}));
  EXPECT_EQ(pack(ReferencePacking::k5Bit32, {31, 0, 0, 0, 0, 1}, 1), bytes({0x01, 0x00, 0x00, 0x3e}));
  EXPECT_EQ(pack(ReferencePacking::k6Bit32, {63, 0, 0, 0, 2}, 1), bytes({0x02, 0x00, 0x00, 0x3f}));
}

TEST(ReferencePacking, UnpackingGivesTheCodesBack) {
  for (const auto& row : sinq::io::detail::kReferencePackings) {
    for (const Index rows : {8, 16, 24, 40}) {
      for (const Index cols : {1, 3, 16}) {
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(rows * cols));
        for (std::size_t i = 0; i < codes.size(); ++i) {
          codes[i] = static_cast<std::uint8_t>((i * 37 + 11) & ((1U << row.bits) - 1U));
        }
        const auto packed = pack(row.packing, codes, cols);
        std::vector<std::uint8_t> back(codes.size(), 0xee);
        unpack_reference(row.packing, packed, back);
        EXPECT_EQ(back, codes) << row.name << " " << rows << "x" << cols;
      }
    }
  }
}

TEST(ReferencePacking, FewerRowsThanFieldsAndNone) {
  EXPECT_EQ(pack(ReferencePacking::k3Bit32, {5}, 1), bytes({0, 0, 0, 0x28}));
  std::vector<std::uint8_t> codes(16);
  const auto one = std::span(codes).first(1);
  unpack_reference(ReferencePacking::k3Bit32, bytes({0, 0, 0, 0xe8}), one);  // bits 30 and 31 are nobody's
  EXPECT_EQ(codes[0], 5);
  std::vector<std::uint8_t> none;
  unpack_reference(ReferencePacking::k4BitU8, {}, none);
  EXPECT_TRUE(pack(ReferencePacking::k2BitU8, {}, 1).empty());
}

}  // namespace
