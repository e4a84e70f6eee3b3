#include "llm/tokenizer.hpp"

#include "llm/unicode_nfc.hpp"
#include "paths.hpp"
#include "support/generators.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace llm::test {
namespace {

using testing::ElementsAre;

/// Qwen's pattern, as its tokenizer.json has it.
constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json qwen_pre_tokenizer() {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", {{"Regex", kQwenPattern}}}, {"behavior", "Isolated"}, {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}}}};
}

Json description() { return read_json(embedded_model() / "tokenizer.json"); }

std::string load_error(const std::function<void(Json&)>& change) {
  Json changed = description();
  change(changed);
  try {
    const Tokenizer tokenizer(changed);
  } catch (const sinq::Error& e) {
    return e.what();
  }
  return "no error";
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(TokenizerTest, KnownIds) {
  const auto shared = shared_folder();
  if (!std::filesystem::exists(shared / "text" / "ids.json")) {
    GTEST_SKIP() << "no ids.json in " << shared / "text";
  }
  const Json ids = read_json(shared / "text" / "ids.json");
  for (const std::string model : {"lm1m", "lm30m"}) {
    const Tokenizer tokenizer = Tokenizer::open(shared / "models" / model);
    for (const std::string text : {"test", "valid"}) {
      const std::string content = read_file(shared / "text" / ("wikitext2_" + text + ".txt"));
      const std::vector<Token> tokens = tokenizer.encode(content);
      const auto first = ids.at(model + "/" + text).at("first").get<std::vector<Token>>();
      ASSERT_EQ(first.size(), 1000U);
      EXPECT_EQ(std::vector<Token>(tokens.begin(), tokens.begin() + 1000), first);
      EXPECT_EQ(tokens.size(), ids.at(model + "/" + text).at("count").get<std::size_t>());
      EXPECT_EQ(tokenizer.decode(tokens), content);
    }
  }
}

TEST(TokenizerTest, RoundTripsWhateverThereIs) {
  const Tokenizer tokenizer = Tokenizer::open(embedded_model());
  for (const std::string text :
       {"", " ", "  a  b \n\n c\t", "don't we'll I'M", "naïve façade Ünïcödé", "日本語のテキスト、中文字符。",
        "한국어 텍스트", "🙂👩‍👩‍👧‍👦🏳️‍🌈 emoji", "العربية हिन्दी ไทย",
        "e\xcc\x81 combining", "\xff\xfe\x80 not UTF-8 \xe2\x82", "\r\n\r\n", "a<|endoftext|>b<|endoftext|><|endoftext",
        "x\xc2\xa0y\xe2\x80\x89z\xe3\x80\x80", "1234567890 3.14e-5"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
  const std::string zeros(3, '\0');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(zeros)), zeros);
}

TEST(TokenizerTest, RoundTripsRandomBytesAndCharacters) {
  const Tokenizer tokenizer = Tokenizer::open(embedded_model());
  sinq::test::Random random(11);
  for (int repeat = 0; repeat < 200; ++repeat) {
    std::string bytes, characters;
    for (std::ptrdiff_t i = random.between(0, 80); i > 0; --i) {
      bytes += static_cast<char>(random.between(0, 255));
      const std::ptrdiff_t limits[] = {0x80, 0x800, 0x10000, 0x110000};
      auto code = static_cast<std::uint32_t>(random.between(0, random.one_of(limits) - 1));
      if (code >= 0xd800 && code < 0xe000) code = 0x20ac;
      if (code < 0x80) {
        characters += static_cast<char>(code);
      } else if (code < 0x800) {
        characters += {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
      } else if (code < 0x10000) {
        characters += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)),
                       static_cast<char>(0x80 | (code & 0x3f))};
      } else {
        characters += {static_cast<char>(0xf0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3f)),
                       static_cast<char>(0x80 | (code >> 6 & 0x3f)), static_cast<char>(0x80 | (code & 0x3f))};
      }
    }
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), bytes);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(characters)), characters);
  }
}

TEST(TokenizerTest, LongPiecesTakeNoQuadraticTime) {
  const Tokenizer tokenizer = Tokenizer::open(embedded_model());
  const std::string text(1000000, 'e');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(TokenizerTest, MergesByRankThenFromTheLeft) {
  // Without a pre-tokenizer's cuts: "aaa" -> "aa" "a", and "ab" before "bc" although "bc" stands further left.
  Json tiny = description();
  Json vocab;
  for (const auto& [entry, id] : tiny["model"]["vocab"].items()) {
    if (id.get<Token>() <= 256) vocab[entry] = id;
  }
  vocab["aa"] = 300;
  vocab["ab"] = 301;
  vocab["bc"] = 302;
  vocab["abc"] = 303;
  tiny["model"]["vocab"] = vocab;
  tiny["model"]["merges"] = {"a a", Json::array({"b", "c"}), Json::array({"a", "b"}), "a bc"};
  const Tokenizer tokenizer(tiny);
  const Token a = tokenizer.encode("a")[0];
  EXPECT_THAT(tokenizer.encode("aaa"), ElementsAre(300, a));
  EXPECT_THAT(tokenizer.encode("aaaa"), ElementsAre(300, 300));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre(303));
  EXPECT_THAT(tokenizer.encode("abab"), ElementsAre(301, 301));
  tiny["model"]["ignore_merges"] = true;
  tiny["model"]["merges"] = Json::array();
  EXPECT_THAT(Tokenizer(tiny).encode("abc"), ElementsAre(303));
}

TEST(TokenizerTest, AddedTokensAreFound) {
  Json changed = description();
  changed["added_tokens"].push_back({{"id", 5000}, {"content", "<|end"}});
  const Tokenizer tokenizer(changed);
  const Token a = tokenizer.encode("a")[0];
  EXPECT_THAT(tokenizer.encode("<|endoftext|>a<|end"), ElementsAre(0, a, 5000));
  EXPECT_EQ(tokenizer.bytes(5000), "<|end");
  EXPECT_THROW(static_cast<void>(tokenizer.bytes(5001)), sinq::Error);
}

TEST(TokenizerTest, RefusesByName) {
  using testing::HasSubstr;
  EXPECT_EQ(load_error([](Json&) {}), "no error");
  EXPECT_THAT(load_error([](Json& j) { j["model"]["type"] = "Unigram"; }), HasSubstr("Unigram"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["byte_fallback"] = true; }), HasSubstr("byte_fallback"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["unk_token"] = "<unk>"; }), HasSubstr("unk_token"));
  EXPECT_THAT(load_error([](Json& j) { j["normalizer"] = {{"type", "Lowercase"}}; }), HasSubstr("Lowercase"));
  EXPECT_THAT(load_error([](Json& j) { j["pre_tokenizer"] = {{"type", "Metaspace"}}; }), HasSubstr("Metaspace"));
  EXPECT_THAT(load_error([](Json& j) { j["pre_tokenizer"] = nullptr; }), HasSubstr("pre_tokenizer"));
  EXPECT_THAT(load_error([](Json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; }),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(load_error([](Json& j) { j["added_tokens"][0]["lstrip"] = true; }), HasSubstr("lstrip"));
  EXPECT_THAT(load_error([](Json& j) { j["model"].erase("merges"); }), HasSubstr("merges: missing"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["merges"][0] = {"zz", "qq"}; }), HasSubstr("not in the vocabulary"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["merges"][0] = 3; }), HasSubstr("not a pair"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["vocab"].erase("!"); }), HasSubstr("byte 33"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["vocab"]["\xe4\xb8\xad"] = 9999; }), HasSubstr("not byte-level"));
  EXPECT_THAT(load_error([](Json& j) { j["model"]["vocab"]["zzzz"] = 1; }), HasSubstr("used twice"));
  EXPECT_THAT(load_error([](Json& j) {
                j["pre_tokenizer"] = qwen_pre_tokenizer();
                j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(";
              }),
              HasSubstr("pattern at"));
}

TEST(PreTokenizerTest, Gpt2) {
  const PreTokenizer gpt2({kGpt2Pattern});
  EXPECT_THAT(gpt2.split("Hello  world, it's 42nd!"),
              ElementsAre("Hello", " ", " world", ",", " it", "'s", " 42", "nd", "!"));
  EXPECT_THAT(gpt2.split("a\n\n b  "), ElementsAre("a", "\n\n", " b", "  "));
  EXPECT_THAT(gpt2.split("I'M"), ElementsAre("I", "'", "M"));
  EXPECT_THAT(gpt2.split("日本語 ١٢٣"), ElementsAre("日本語", " ١٢٣"));
  EXPECT_THAT(gpt2.split("a\xc2\xa0\xc2\xa0"
                         "b"),
              ElementsAre("a", "\xc2\xa0", "\xc2\xa0", "b"));
  EXPECT_THAT(gpt2.split(""), ElementsAre());
}

TEST(PreTokenizerTest, Qwen) {
  const PreTokenizer qwen = PreTokenizer::from_json(qwen_pre_tokenizer());
  EXPECT_THAT(qwen.split("Hello  world, it's 42nd!"),
              ElementsAre("Hello", " ", " world", ",", " it", "'s", " ", "4", "2", "nd", "!"));
  EXPECT_THAT(qwen.split("I'M we'LL"), ElementsAre("I", "'M", " we", "'LL"));
  EXPECT_THAT(qwen.split("x = (y);\n\n  z\n"), ElementsAre("x", " =", " (", "y", ");\n\n", " ", " z", "\n"));
  EXPECT_THAT(qwen.split("a \n \n b"), ElementsAre("a", " \n \n", " b"));
  EXPECT_THAT(qwen.split("\tif"), ElementsAre("\tif"));
  EXPECT_THAT(qwen.split("中文。日本"), ElementsAre("中文", "。日本"));
  EXPECT_THAT(qwen.split("٣٤"), ElementsAre("٣", "٤"));
}

TEST(PreTokenizerTest, BytesThatAreNotUtf8StandAlone) {
  const PreTokenizer gpt2({kGpt2Pattern});
  EXPECT_THAT(gpt2.split("ab\xff"
                         "cd"),
              ElementsAre("ab", "\xff", "cd"));
}

TEST(PreTokenizerTest, RefusesByName) {
  const auto error = [](const std::function<void(Json&)>& change) -> std::string {
    Json changed = qwen_pre_tokenizer();
    change(changed["pretokenizers"][0]);
    try {
      static_cast<void>(PreTokenizer::from_json(changed));
    } catch (const sinq::Error& e) {
      return e.what();
    }
    return "no error";
  };
  using testing::HasSubstr;
  EXPECT_EQ(error([](Json&) {}), "no error");
  EXPECT_THAT(error([](Json& split) { split["behavior"] = "Removed"; }), HasSubstr("Removed"));
  EXPECT_THAT(error([](Json& split) { split["invert"] = true; }), HasSubstr("invert"));
  EXPECT_THAT(error([](Json& split) { split["pattern"] = {{"String", " "}}; }), HasSubstr("String"));
  EXPECT_THAT(error([](Json& split) { split["type"] = "Digits"; }), HasSubstr("Digits"));
}

TEST(NormalFormTest, FindsWhatMayChange) {
  EXPECT_EQ(first_outside_nfc("plain ASCII"), std::nullopt);
  EXPECT_EQ(first_outside_nfc("Ünïcödé 中文 한국어 🙂"), std::nullopt);
  EXPECT_EQ(first_outside_nfc("ไทย ที่ อยู่"), std::nullopt);                            // marks of ascending class
  EXPECT_EQ(first_outside_nfc("👩‍👩‍👧 🏳️ 1️⃣"), std::nullopt);  // variation selectors and keycaps
  EXPECT_EQ(first_outside_nfc("abc e\xcc\x81"), 5U);                                 // e + combining acute
  EXPECT_EQ(first_outside_nfc("\xe2\x84\xab"), 0U);                                  // Angstrom sign
  EXPECT_EQ(first_outside_nfc("\xef\xa4\x80"), 0U);                                  // CJK compatibility ideograph
  EXPECT_EQ(first_outside_nfc("\xe1\x84\x80\xe1\x85\xa1"), 3U);                      // conjoining Jamo
  EXPECT_EQ(first_outside_nfc("\xe0\xb9\x88\xe0\xb8\xb8"), 3U);                      // Thai tone mark before vowel
  EXPECT_EQ(first_outside_nfc("\xff\xc3 \x80 \xed"), std::nullopt);                  // not UTF-8
}

TEST(NormalFormTest, IsMade) {
  EXPECT_EQ(to_nfc("plain ASCII"), "plain ASCII");
  EXPECT_EQ(to_nfc("cafe\xcc\x81"), "caf\xc3\xa9");
  EXPECT_EQ(to_nfc("\xe2\x84\xab"), "\xc3\x85");                              // Angstrom sign: A with ring
  EXPECT_EQ(to_nfc("\xef\xa4\x80"), "\xe8\xb1\x88");                          // CJK compatibility ideograph
  EXPECT_EQ(to_nfc("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"), "\xed\x95\x9c");  // three Jamo: a syllable
  EXPECT_EQ(to_nfc("\xed\x95\x98\xe1\x86\xab"), "\xed\x95\x9c");              // a syllable takes a trail
  EXPECT_EQ(to_nfc("\xe0\xa5\x98"), "\xe0\xa4\x95\xe0\xa4\xbc");              // one that is left apart
  EXPECT_EQ(to_nfc("a\xcc\x81\xcc\xa3"), "\xe1\xba\xa1\xcc\x81");             // dot below before acute
  EXPECT_EQ(to_nfc("a\xcc\x95\xcc\x81"), "\xc3\xa1\xcc\x95");                 // reordered, then joined
  EXPECT_EQ(to_nfc("ab\xcc\x87\xcc\x81"), "a\xe1\xb8\x83\xcc\x81");           // one joins, its like stays
  EXPECT_EQ(to_nfc("e\xcc\x81\xff\xc3 \xed\xa0\x80\xcc\x81"), "\xc3\xa9\xff\xc3 \xed\xa0\x80\xcc\x81")
      << "what is no UTF-8 stays";
}

TEST(NormalFormTest, TokenizersSayWhetherTheyWantIt) {
  Json changed = description();
  changed["normalizer"] = {{"type", "NFC"}};
  const Tokenizer normal(changed), plain(description());
  const std::string composed = "caf\xc3\xa9", apart = "cafe\xcc\x81";
  EXPECT_EQ(normal.encode(composed), plain.encode(composed));
  EXPECT_EQ(normal.encode(apart), plain.encode(composed));
  EXPECT_NE(plain.encode(apart), plain.encode(composed));
  EXPECT_EQ(plain.decode(plain.encode(apart)), apart);
}

}  // namespace
}  // namespace llm::test
