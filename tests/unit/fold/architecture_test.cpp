#include <sinq/fold/architecture.hpp>

#include "fold_support.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldArchitectureTest, KnowsFamiliesByName) {
  EXPECT_EQ(family_of("Qwen3ForCausalLM"), Family::kQwen3);
  EXPECT_EQ(family_of("DeepseekV2ForCausalLM"), Family::kDeepseekV2);
  expect_error([] { static_cast<void>(family_of("MambaForCausalLM")); }, Errc::kUnsupported, "MambaForCausalLM");
  expect_error([] { static_cast<void>(family_of("")); }, Errc::kUnsupported, "LlamaForCausalLM, MistralForCausalLM");
}

TEST(FoldArchitectureTest, LayersWithoutExpertsAreDense) {
  Architecture arch{.layers = 3};
  EXPECT_TRUE(arch.is_dense(2));
  arch.experts = 4;
  arch.dense_layers = {0, 2};
  EXPECT_TRUE(arch.is_dense(0));
  EXPECT_FALSE(arch.is_dense(1));
  EXPECT_TRUE(arch.is_dense(2));
}

}  // namespace
}  // namespace sinq::test
