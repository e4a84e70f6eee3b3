#include "llm/generate.hpp"

#include "llm/quantize_model.hpp"
#include "paths.hpp"
#include "tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace llm::test {
namespace {

using testing::ElementsAre;

TEST(SamplerTest, GreedyTakesTheFirstOfTheMostLikely) {
  Sampler greedy(Sampling{});
  EXPECT_EQ(greedy(std::vector<float>{1.0F, 3.0F, 3.0F, -1.0F}), 1);
}

TEST(SamplerTest, FollowsTheDistribution) {
  const std::vector<float> logits{0.0F, std::log(2.0F), std::log(5.0F)};
  Sampler sampler({.temperature = 1.0, .seed = 5});
  std::array<int, 3> counts{};
  constexpr int kDraws = 8000;
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(sampler(logits))];
  // Five standard deviations of a count are at most 5 * sqrt(8000 / 4) = 224.
  EXPECT_NEAR(counts[0], 1000, 224);
  EXPECT_NEAR(counts[1], 2000, 224);
  EXPECT_NEAR(counts[2], 5000, 224);
}

TEST(SamplerTest, TopKAndSeeds) {
  const std::vector<float> logits{0.0F, 1.0F, 2.0F, 1.5F};
  const auto draw = [&](const Sampling& sampling) {
    Sampler sampler(sampling);
    std::vector<Token> out;
    for (int i = 0; i < 100; ++i) out.push_back(sampler(logits));
    return out;
  };
  EXPECT_THAT(draw({.temperature = 3.0, .top_k = 2}), testing::Each(testing::AnyOf(2, 3)));
  EXPECT_THAT(draw({.temperature = 3.0, .top_k = 9}), testing::Contains(0));
  EXPECT_EQ(draw({.temperature = 1.0, .seed = 1}), draw({.temperature = 1.0, .seed = 1}));
  EXPECT_NE(draw({.temperature = 1.0, .seed = 1}), draw({.temperature = 1.0, .seed = 2}));
  EXPECT_THROW(Sampler({.temperature = -1.0}), sinq::Error);
  EXPECT_THROW(Sampler({.top_k = -1}), sinq::Error);
}

/// Greedy continuation, each token from the whole sequence anew.
std::vector<Token> recomputed(const Model& model, std::vector<Token> tokens, std::size_t count) {
  std::vector<Token> out;
  std::vector<float> logits(static_cast<std::size_t>(model.config.vocab_size));
  while (out.size() < count) {
    Session session(model, static_cast<Index>(tokens.size()));
    const auto hidden = session.read(tokens);
    model.head.apply(hidden.data() + hidden.size() - static_cast<std::size_t>(model.config.hidden_size), 1,
                     logits.data());
    out.push_back(static_cast<Token>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    tokens.push_back(out.back());
  }
  return out;
}

TEST(GenerateTest, EqualsRecomputation) {
  const Model model = Model::open(embedded_model());
  const std::vector<Token> prompt{40, 69, 421, 259};
  std::vector<Token> streamed;
  Session session(model, 64);
  Sampler greedy(Sampling{});
  generate(session, model, prompt, 30, greedy, [&](Token token) { streamed.push_back(token); });
  EXPECT_EQ(streamed, recomputed(model, prompt, streamed.size()));
  EXPECT_EQ(streamed.size(), 30U);
}

TEST(GenerateTest, PackedWeightsWithACacheEqualRecomputation) {
  for (const auto activations : {sinq::Precision::kFloat, sinq::Precision::kInt15, sinq::Precision::kInt8}) {
    const Model model = quantize_model(Model::open(embedded_model()), {.activations = activations}, 0).model;
    const std::vector<Token> tokens{40, 69, 421, 259, 1245, 374, 13, 301, 280, 1739, 1615, 322};
    Session whole(model, 16), single(model, 16);
    const auto expected = whole.read(tokens);
    const auto width = static_cast<std::size_t>(model.config.hidden_size);
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const auto actual = single.read(std::span(tokens).subspan(t, 1));
      for (std::size_t i = 0; i < width; ++i) {
        // One vector and a batch may add in different orders: float rounding, on normalized states of size 1 to 20; the
        // worst difference seen is 1.5e-5.
        ASSERT_NEAR(actual[i], expected[t * width + i], 1e-3);
      }
    }
  }
}

TEST(GenerateTest, EndsWhereItMust) {
  Json config = tiny_config("LlamaForCausalLM");
  const TemporaryFolder folder("generate");
  write_model(make_tiny_model(config, 3), folder.path());
  Model model = Model::open(folder.path());
  const auto run = [&](Index capacity, Index count) {
    Session session(model, capacity);
    Sampler greedy(Sampling{});
    std::vector<Token> out;
    generate(session, model, std::vector<Token>{1, 2, 3}, count, greedy, [&](Token token) { out.push_back(token); });
    return out;
  };
  EXPECT_EQ(run(32, 7).size(), 7U);
  EXPECT_EQ(run(5, 7).size(), 3U);  // positions 3 and 4, and the token that follows the last
  const std::vector<Token> all = run(32, 7);
  model.config.end_tokens = {all[2]};
  const auto first = static_cast<std::size_t>(std::find(all.begin(), all.end(), all[2]) - all.begin());
  EXPECT_EQ(run(32, 7).size(), first);
  Session session(model, 4);
  Sampler greedy(Sampling{});
  EXPECT_THROW(generate(session, model, {}, 1, greedy, [](Token) {}), sinq::Error);
}

TEST(Utf8StreamTest, HoldsBackIncompleteCharacters) {
  Utf8Stream stream;
  EXPECT_EQ(stream.put("a\xe2"), "a");
  EXPECT_EQ(stream.put("\x82"), "");
  EXPECT_EQ(stream.put("\xac"
                       "b"),
            "\xe2\x82\xac"
            "b");
  EXPECT_EQ(stream.put("\xf0\x9f\x99"), "");
  EXPECT_EQ(stream.put("\x82"), "\xf0\x9f\x99\x82");
  EXPECT_EQ(stream.put("\xff\x80\x80\x80\x80"), "\xff\x80\x80\x80\x80");  // can never be complete
  EXPECT_EQ(stream.put("\xc3"), "");
  EXPECT_EQ(stream.finish(), "\xc3");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace llm::test
