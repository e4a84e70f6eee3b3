#include <sinq/io/gguf_value.hpp>

#include "io_support.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace {

using sinq::Errc;
using sinq::io::GgufArray;
using sinq::io::GgufMetadata;
using sinq::io::GgufValue;
using sinq_test::expect_error;

TEST(GgufValue, TheIndexIsTheNumberOfTheType) {
  // From the format's list of types: u8 0, i8 1, u16 2, i16 3, u32 4, i32 5, f32 6, bool 7, string 8, array 9, u64 10,
  // i64 11, f64 12.
  EXPECT_EQ(GgufValue(std::uint8_t{}).index(), 0U);
  EXPECT_EQ(GgufValue(std::int16_t{}).index(), 3U);
  EXPECT_EQ(GgufValue(std::uint32_t{}).index(), 4U);
  EXPECT_EQ(GgufValue(1.0F).index(), 6U);
  EXPECT_EQ(GgufValue(true).index(), 7U);
  EXPECT_EQ(GgufValue("text").index(), 8U);
  EXPECT_EQ(GgufValue(GgufArray()).index(), 9U);
  EXPECT_EQ(GgufValue(std::uint64_t{}).index(), 10U);
  EXPECT_EQ(GgufValue(1.0).index(), 12U);
  EXPECT_EQ(GgufArray(std::vector<std::string>{}).index(), 8U);
  EXPECT_EQ(GgufArray(std::vector<std::int64_t>{}).index(), 11U);
}

GgufMetadata sample_metadata() {
  GgufMetadata out("m.gguf");
  out.add("blocks", std::uint32_t{4});
  out.add("huge", std::numeric_limits<std::uint64_t>::max());
  out.add("below", std::int8_t{-3});
  out.add("eps", 0.5F);
  out.add("wide", 0.1);
  out.add("name", "tiny");
  out.add("flag", true);
  out.add("tokens", GgufArray(std::vector<std::string>{"a", "b"}));
  return out;
}

TEST(GgufMetadata, FindsWhatWasAdded) {
  const GgufMetadata data = sample_metadata();
  ASSERT_EQ(data.entries().size(), 8U);
  EXPECT_EQ(data.entries()[5].key, "name");
  EXPECT_TRUE(data.has("eps"));
  EXPECT_FALSE(data.has("ep"));
  EXPECT_EQ(data.find("ep"), nullptr);
  EXPECT_EQ(data.integer("blocks"), 4);
  EXPECT_EQ(data.integer_or("layers", 7), 7);
  EXPECT_EQ(data.integer_or("blocks", 7), 4);
  EXPECT_EQ(data.real("eps"), 0.5);
  EXPECT_EQ(data.real("wide"), 0.1);
  EXPECT_EQ(data.real_or("none", 2.5), 2.5);
  EXPECT_EQ(data.get<std::string>("name"), "tiny");
  EXPECT_TRUE(data.get<bool>("flag"));
  EXPECT_EQ(data.array<std::string>("tokens"), (std::vector<std::string>{"a", "b"}));
}

TEST(GgufMetadata, SaysWhichValueIsNotOfTheTypeThatIsAskedFor) {
  const GgufMetadata data = sample_metadata();
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.integer("none")); }, "m.gguf: there is no metadata 'none'");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.integer("eps")); }, "'eps' is of type f32, not a whole number");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.integer("flag")); }, "'flag' is of type bool");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.integer("huge")); }, "'huge' is 18446744073709551615, not in 0..");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.integer("below")); }, "'below' is -3, not in 0..");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.real("blocks")); }, "'blocks' is of type u32, not f32 or f64");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.get<std::string>("tokens")); },
      "'tokens' is of type array of string, not string");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.array<float>("tokens")); }, "array of string, not array of f32");
  expect_error(
      Errc::kBadFile, [&] { static_cast<void>(data.array<float>("name")); }, "'name' is of type string");
}

TEST(GgufMetadata, KeysAreUniqueAndNotEmpty) {
  GgufMetadata data = sample_metadata();
  expect_error(
      Errc::kBadFile, [&] { data.add("name", 1.0); }, "'name' stands twice");
  expect_error(
      Errc::kBadFile, [&] { data.add("", 1.0); }, "metadata key of 0 bytes");
  expect_error(
      Errc::kBadFile, [&] { data.add(std::string(65536, 'k'), 1.0); }, "65536 bytes");
  EXPECT_EQ(data.entries().size(), 8U);
}

TEST(GgufMetadata, AValueIsReplacedInItsPlace) {
  GgufMetadata data("x");
  data.add("a", std::uint32_t{1});
  data.add("b", std::uint32_t{2});
  data.set("a", "text");
  data.set("c", true);
  ASSERT_EQ(data.entries().size(), 3U);
  EXPECT_EQ(data.entries()[0].key, "a");
  EXPECT_EQ(data.get<std::string>("a"), "text");
  EXPECT_TRUE(data.get<bool>("c"));
  expect_error(
      Errc::kBadFile, [&] { data.set("", 1.0); }, "metadata key of 0 bytes");
}

}  // namespace
