#include <sinq/io/json_events.hpp>

#include "io_support.hpp"

#include <string>

namespace {

using sinq::Errc;
using sinq_test::bytes_of;
using sinq_test::expect_error;

/// Accepts arrays and unsigned numbers.
class Numbers final : public sinq::io::detail::JsonEvents {
 public:
  using JsonEvents::JsonEvents;
  std::uint64_t sum = 0;
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool number_unsigned(number_unsigned_t value) override {
    sum += value;
    return true;
  }
};

void parse(std::string_view text) {
  Numbers numbers("list", 100);
  numbers.parse(bytes_of(text));
}

TEST(JsonEvents, HandsEventsToTheReader) {
  Numbers numbers("list", 0);
  numbers.parse(bytes_of("[1, [2, 3]] "));
  EXPECT_EQ(numbers.sum, 6U);
}

TEST(JsonEvents, RefusesWhatTheReaderDoesNotTake) {
  for (const char* text : {"[null]", "[true]", "[-1]", "[1.5]", "[1e9]", "[18446744073709551616]", "[\"a\"]", "{}"}) {
    expect_error(
        Errc::kBadFile, [&] { parse(text); }, "list: JSON near byte 1", "unexpected");
  }
}

TEST(JsonEvents, SaysWhereTheTextIsBroken) {
  expect_error(
      Errc::kBadFile, [] { parse("[1, 2, }"); }, "list: JSON near byte 108");
  for (const char* text : {"", "[", "[1", "[1]x", "[1] []", "[1,]", "nul", "[\"\xff\"]", "[01]", "\xef\xbb\xbf"}) {
    expect_error(
        Errc::kBadFile, [&] { parse(text); }, "list: JSON near byte 10");
  }
  for (const auto text : {std::string_view("[1\0]", 4), std::string_view("[1]\0", 4)}) {
    expect_error(
        Errc::kBadFile, [&] { parse(text); }, "list: JSON near byte 10", "zero byte");
  }
}

TEST(JsonEvents, NestingCostsNoStack) {
  const std::size_t depth = 1'000'000;
  parse(std::string(depth, '[') + std::string(depth, ']'));
  expect_error(
      Errc::kBadFile, [&] { parse(std::string(depth, '[')); }, "list: JSON near byte 1000100");
}

}  // namespace
