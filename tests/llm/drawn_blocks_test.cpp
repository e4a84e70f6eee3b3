#include "llm/drawn_blocks.hpp"

#include "paths.hpp"
#include "tiny_model.hpp"

#include <gtest/gtest.h>

namespace llm::test {
namespace {

TEST(DrawnBlocks, AreTheSameForASeedAndAnyNumberOfThreads) {
  const Model model = Model::open(embedded_model());
  const TokenBlocks one = draw_blocks(model, 3, 16, 7, 1), many = draw_blocks(model, 3, 16, 7, 3);
  EXPECT_EQ(one.context, 16);
  EXPECT_EQ(one.count(), 3);
  EXPECT_EQ(one.tokens, many.tokens);
  EXPECT_NE(one.tokens, draw_blocks(model, 3, 16, 8, 1).tokens);
  EXPECT_NE(std::vector(one.block(0).begin(), one.block(0).end()),
            std::vector(one.block(1).begin(), one.block(1).end()));
  for (Index i = 0; i < 3; ++i) EXPECT_EQ(one.block(i).front(), 0);  // bos_token_id
}

// On its own text a model's perplexity is the exponential of its entropy: 28.7 on samples.safetensors.
TEST(DrawnBlocks, AreTextOfTheModel) {
  const Model model = Model::open(embedded_model());
  const TokenBlocks blocks = draw_blocks(model, 8, 128, 1, 0);
  EXPECT_NEAR(evaluate(model, blocks, nullptr, 0).perplexity, 28.7, 6.0);
}

TEST(DrawnBlocks, BeginWithAnyTokenWhereThereIsNone) {
  const TemporaryFolder folder("drawn");
  write_model(make_tiny_model(tiny_config("LlamaForCausalLM"), 3), folder.path());
  const TokenBlocks blocks = draw_blocks(Model::open(folder.path()), 6, 4, 1, 1);
  std::set<Token> first;
  for (Index i = 0; i < blocks.count(); ++i) first.insert(blocks.block(i).front());
  EXPECT_GT(first.size(), 1U);
}

TEST(DrawnBlocks, NoLongerThanTheModelReads) {
  const Model model = Model::open(embedded_model());
  EXPECT_THROW(static_cast<void>(draw_blocks(model, 1, model.config.max_positions + 1, 1, 1)), sinq::Error);
}

}  // namespace
}  // namespace llm::test
