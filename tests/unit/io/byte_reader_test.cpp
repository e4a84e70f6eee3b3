#include <sinq/io/byte_reader.hpp>

#include "io_support.hpp"

#include <limits>
#include <string>

namespace {

using sinq::Errc;
using sinq::io::ByteReader;
using sinq_test::bytes_of;
using sinq_test::expect_error;

TEST(ByteReader, ReadsNumbersLittleEndianOneAfterAnother) {
  const std::string bytes("\x01\x02\x03\x04\x00\x00\x80\x3f", 8);
  ByteReader reader(bytes_of(bytes), "here");
  EXPECT_EQ(reader.read<std::uint16_t>("a"), 0x0201);
  EXPECT_EQ(reader.read<std::uint8_t>("b"), 3);
  EXPECT_EQ(reader.position(), 3U);
  EXPECT_EQ(reader.take(1, "c").front(), std::byte{4});
  EXPECT_EQ(reader.read<float>("d"), 1.0F);
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, SaysWhatWasCutOffAndWhere) {
  ByteReader reader(bytes_of("12345"), "file.bin");
  static_cast<void>(reader.take(2, "magic"));
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(reader.read<std::uint64_t>("length")); },
      "file.bin: length at byte 2 needs 8 bytes, but 3 remain");
  EXPECT_EQ(reader.position(), 2U) << "a failed read consumes nothing";
  EXPECT_EQ(reader.take(3, "rest").size(), 3U);
}

TEST(ByteReader, DoesNotOverflowOnAbsurdLengths) {
  ByteReader reader(bytes_of("12345"), "file.bin");
  static_cast<void>(reader.take(4, "magic"));
  for (const std::uint64_t count :
       {std::uint64_t{2}, std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max() - 3}) {
    expect_error(
        Errc::kBadFile, [&] { static_cast<void>(reader.take(count, "data")); }, "data at byte 4");
  }
}

TEST(ByteReader, AnEmptySourceHasNoBytes) {
  ByteReader reader({}, "empty");
  EXPECT_TRUE(reader.take(0, "nothing").empty());
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(reader.read<std::uint8_t>("one")); }, "empty: one at byte 0");
}

}  // namespace
