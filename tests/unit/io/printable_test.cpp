#include <sinq/io/printable.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

using sinq::io::printable;

TEST(Printable, WhatATerminalObeysIsSpelled) {
  EXPECT_EQ(printable("model.layers.0.weight"), "model.layers.0.weight");
  EXPECT_EQ(printable("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
  EXPECT_EQ(printable("\x1b]0;title\a"), "\\x1b]0;title\\x07");
  EXPECT_EQ(printable(std::string("a\0b\r\n\x7f", 6)), "a\\x00b\\x0d\\x0a\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m")
      << "CSI in one character";
  EXPECT_EQ(printable("\xe2\x80\xaereversed"), "\\xe2\\x80\\xaereversed");
  EXPECT_EQ(printable("it's", "'"), "it\\x27s");
}

TEST(Printable, OtherLettersStayAndBrokenOnesDoNot) {
  for (const char* word : {"gewicht_\xc3\xbc", "\xe6\x9d\x83\xe9\x87\x8d", "\xf0\x9f\x98\x80"})
    EXPECT_EQ(printable(word), word);
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("a\xc3"), "a\\xc3") << "cut off";
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b") << "too long a form";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
}

}  // namespace
