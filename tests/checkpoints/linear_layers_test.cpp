#include "quantize/linear_layers.hpp"

#include "llm/model.hpp"

#include <gtest/gtest.h>

namespace linear_layers_checkpoints_test {
namespace {

// sinq-lm and sinq-gguf know their architectures by name; what they quantize is what the rule of the others names.
TEST(LinearLayers, TheEnginesAreThoseOfTheRule) {
  for (std::size_t i = 0; i < llm::kBlockLinears.size(); ++i) {
    const std::string name = llm::LinearId{3, i}.name() + ".weight";
    EXPECT_TRUE(convert::is_linear_layer({name, sinq::io::DType::kBf16, {8, 8}})) << name;
  }
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight"}) {
    EXPECT_FALSE(convert::is_linear_layer({name, sinq::io::DType::kBf16, {8, 8}})) << name;
  }
}

}  // namespace
}  // namespace linear_layers_checkpoints_test
