#include "gguf/model_card.hpp"

#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gguf::test {
namespace {

using sinq_test::TemporaryFolder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(FrontMatter, HasTheKeysOfItsFirstLevel) {
  EXPECT_THAT(front_matter("---\n"
                           "license: apache-2.0  # ours\n"
                           "license_link: 'https://a.b/c#d'\n"
                           "base_model:\n"
                           "- a/b-0.6B\n"
                           "  - \"c/d\"\n"
                           "tags: [x, \"y z\"]\r\n"
                           "empty: []\n"
                           "# a comment\n"
                           "model-index:\n"
                           "- name: z\n"
                           "  results: 1\n"
                           "---\n"
                           "license: of the text\n"),
              UnorderedElementsAre(
                  Pair("license", ElementsAre("apache-2.0")), Pair("license_link", ElementsAre("https://a.b/c#d")),
                  Pair("base_model", ElementsAre("a/b-0.6B", "c/d")), Pair("tags", ElementsAre("x", "y z")),
                  Pair("empty", IsEmpty()), Pair("model-index", ElementsAre("name: z"))));
}

TEST(FrontMatter, IsThereOrNot) {
  EXPECT_THAT(front_matter(""), IsEmpty());
  EXPECT_THAT(front_matter("# Model\n---\nlicense: mit\n---\n"), IsEmpty());
  EXPECT_THAT(front_matter("---\nlicense: mit\n"), IsEmpty()) << "without an end it is none";
  EXPECT_THAT(front_matter("---\n---"), IsEmpty());
  EXPECT_THAT(front_matter("---\n:\n'\n- x\n[\na: [\nb: '\n---\n"),
              UnorderedElementsAre(Pair("", IsEmpty()), Pair("a", ElementsAre("[")), Pair("b", ElementsAre("'"))));
}

TEST(ModelCard, BecomesMetadata) {
  const TemporaryFolder folder;
  sinq::io::GgufMetadata none("m"), out("m");
  add_model_card(folder.path(), none);
  EXPECT_THAT(none.entries(), IsEmpty());
  folder.file("README.md",
              "---\nlicense: other\nlicense_name: llama3.2\nlicense_link: LICENSE\n"
              "base_model: [meta-llama/Llama-3.2-1B, some-model-v2]\n---\n");
  add_model_card(folder.path(), out);
  EXPECT_EQ(out.get<std::string>("general.license"), "other");
  EXPECT_EQ(out.get<std::string>("general.license.name"), "llama3.2");
  EXPECT_EQ(out.get<std::string>("general.license.link"), "LICENSE");
  EXPECT_EQ(out.get<std::uint32_t>("general.base_model.count"), 2U);
  EXPECT_EQ(out.get<std::string>("general.base_model.0.name"), "Llama 3.2 1B");
  EXPECT_EQ(out.get<std::string>("general.base_model.0.organization"), "Meta Llama");
  EXPECT_EQ(out.get<std::string>("general.base_model.0.repo_url"), "https://huggingface.co/meta-llama/Llama-3.2-1B");
  EXPECT_EQ(out.get<std::string>("general.base_model.1.name"), "Some Model v2");
  EXPECT_FALSE(out.has("general.base_model.1.organization"));
}

TEST(SizeLabel, HasTwoDigitsOrMore) {
  EXPECT_EQ(size_label(596'049'920), "596M");
  EXPECT_EQ(size_label(7'615'616'512), "7.6B");
  EXPECT_EQ(size_label(70'553'706'496), "71B");
  EXPECT_EQ(size_label(1'235'814'432), "1.2B");
  EXPECT_EQ(size_label(1'026'000'000'000), "1.0T");
  EXPECT_EQ(size_label(999'950), "1000K");
  EXPECT_EQ(size_label(400), "0.40K");
}

}  // namespace
}  // namespace gguf::test
