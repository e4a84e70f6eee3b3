#include "llm/session.hpp"
#include "reference_forward.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llm::test {
namespace {

std::vector<Token> random_tokens(Index count, Index vocab, std::uint64_t seed) {
  sinq::test::Random random(seed);
  std::vector<Token> out;
  for (Index i = 0; i < count; ++i) out.push_back(static_cast<Token>(random.between(0, vocab - 1)));
  return out;
}

/// The engine's logits for tokens that arrive in portions of `portions`.
std::vector<float> engine_logits(const Model& model, const std::vector<Token>& tokens,
                                 const std::vector<std::size_t>& portions) {
  Session session(model, static_cast<Index>(tokens.size()));
  std::vector<float> out;
  std::size_t done = 0;
  for (const std::size_t portion : portions) {
    const auto hidden = session.read(std::span(tokens).subspan(done, portion));
    const std::size_t start = out.size();
    out.resize(start + portion * static_cast<std::size_t>(model.config.vocab_size));
    model.head.apply(hidden.data(), static_cast<Index>(portion), out.data() + start);
    done += portion;
  }
  return out;
}

struct Case {
  std::string name;
  Json changes;
  std::vector<DType> dtypes{DType::kF32};
  std::size_t shards = 1;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class ForwardTest : public testing::TestWithParam<Case> {};

TEST_P(ForwardTest, AgreesWithTheReference) {
  for (const std::string architecture : {"Qwen3ForCausalLM", "LlamaForCausalLM"}) {
    Json config = tiny_config(architecture);
    for (const auto& [key, value] : GetParam().changes.items()) config[key] = value;
    if (config["rope_theta"].is_null()) config.erase("rope_theta");
    const TinyModel tiny = make_tiny_model(config, 7, GetParam().dtypes);
    const TemporaryFolder folder("forward");
    write_model(tiny, folder.path(), GetParam().shards);
    const Model model = Model::open(folder.path());
    // More positions than one panel of 32 keys and one chunk of 48 queries.
    const std::vector<Token> tokens = random_tokens(53, model.config.vocab_size, 3);
    const std::vector<float> actual = engine_logits(model, tokens, {tokens.size()});
    const auto expected = ReferenceForward(tiny).logits(tokens);
    // Float rounding: 24 bits, sums of at most 53 terms, about 30 operations deep on values of size 3; the worst
    // difference seen over all cases is 2.3e-5. A wrong sign, mask or head moves logits by more than 0.1.
    double worst = 0;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (std::size_t v = 0; v < expected[t].size(); ++v) {
        worst = std::max(worst, std::fabs(expected[t][v] - static_cast<double>(actual[t * expected[t].size() + v])));
      }
    }
    EXPECT_LT(worst, 1e-4) << architecture;
  }
}

TEST_P(ForwardTest, CacheAgreesWithRecomputation) {
  for (const std::string architecture : {"Qwen3ForCausalLM", "LlamaForCausalLM"}) {
    Json config = tiny_config(architecture);
    for (const auto& [key, value] : GetParam().changes.items()) config[key] = value;
    if (config["rope_theta"].is_null()) config.erase("rope_theta");
    const TemporaryFolder folder("cache");
    write_model(make_tiny_model(config, 8, GetParam().dtypes), folder.path(), GetParam().shards);
    const Model model = Model::open(folder.path());
    const std::vector<Token> tokens = random_tokens(40, model.config.vocab_size, 4);
    const std::vector<float> whole = engine_logits(model, tokens, {40});
    const std::vector<float> portions = engine_logits(model, tokens, {1, 2, 29, 1, 1, 1, 5});
    const std::vector<float> single = engine_logits(model, tokens, std::vector<std::size_t>(40, 1));
    // Products of one row and of many add in the same order, so not a bit differs.
    EXPECT_EQ(portions, whole) << architecture;
    EXPECT_EQ(single, whole) << architecture;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Architectures, ForwardTest,
    testing::Values(Case{.name = "plain", .changes = Json::object()},
                    Case{.name = "biases", .changes = {{"attention_bias", true}, {"mlp_bias", true}}},
                    Case{.name = "untied", .changes = {{"tie_word_embeddings", false}}},
                    Case{.name = "one_kv_head", .changes = {{"num_key_value_heads", 1}}},
                    Case{.name = "all_kv_heads", .changes = {{"num_key_value_heads", 6}}},
                    Case{.name = "odd_sizes",
                         .changes = {{"head_dim", 10}, {"intermediate_size", 33}, {"hidden_size", 17}}},
                    Case{.name = "rope_parameters",
                         .changes = {{"rope_theta", nullptr},
                                     {"rope_parameters", {{"rope_theta", 77.0}, {"rope_type", "default"}}}}},
                    Case{.name = "mixed_types",
                         .changes = {{"attention_bias", true}, {"tie_word_embeddings", false}},
                         .dtypes = {DType::kBf16, DType::kF32, DType::kF16, DType::kF64}},
                    Case{.name = "sharded", .changes = Json::object(), .dtypes = {DType::kBf16}, .shards = 3}),
    [](const auto& test) { return test.param.name; });

TEST(SessionTest, SaysWhatDoesNotFit) {
  const TemporaryFolder folder("session");
  write_model(make_tiny_model(tiny_config("Qwen3ForCausalLM"), 1), folder.path());
  const Model model = Model::open(folder.path());
  EXPECT_THROW(Session(model, 0), sinq::Error);
  EXPECT_THROW(Session(model, 65), sinq::Error);
  Session session(model, 4);
  EXPECT_THROW(session.read(random_tokens(5, 37, 1)), sinq::Error);
  EXPECT_THROW(session.read(std::vector<Token>{37}), sinq::Error);
  EXPECT_THROW(session.read(std::vector<Token>{-1}), sinq::Error);
  EXPECT_EQ(session.position(), 0);
  session.read(random_tokens(3, 37, 1));
  EXPECT_EQ(session.position(), 3);
  EXPECT_THROW(session.read(random_tokens(2, 37, 1)), sinq::Error);
}

TEST(SessionTest, ClearedStartsAnew) {
  const TemporaryFolder folder("clear");
  write_model(make_tiny_model(tiny_config("LlamaForCausalLM"), 2), folder.path());
  const Model model = Model::open(folder.path());
  const auto tokens = random_tokens(9, 37, 5);
  Session session(model, 16);
  const auto first = session.read(tokens);
  const std::vector<float> expected(first.begin(), first.end());
  session.read(random_tokens(7, 37, 6));
  session.clear();
  EXPECT_THAT(session.read(tokens), testing::ElementsAreArray(expected));
}

}  // namespace
}  // namespace llm::test
