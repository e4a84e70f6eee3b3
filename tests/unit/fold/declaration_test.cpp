#include <sinq/fold/declaration.hpp>

#include "fold_support.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldDeclarationTest, BiasesAreProducersWhereTheyExist) {
  const auto edges = [](const std::vector<TensorShape>& tensors) {
    fold::detail::Declaration declaration(tensors);
    declaration.norm("n", 4);
    declaration.linear("up", 6, 4);
    declaration.linear("down", 4, 6);
    declaration.norm_edge(EdgeKind::kNorm, "n", NormKind::kWeight, 4, {{.tensor = "up"}});
    declaration.row_edge(EdgeKind::kUpDown, 6, {.tensor = "up"}, {.tensor = "down"});
    return std::move(declaration).checked("test");
  };
  std::vector<TensorShape> tensors{{"n.weight", {4}}, {"up.weight", {6, 4}}, {"down.weight", {4, 6}}};
  auto found = edges(tensors);
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].producers.size(), 1);
  EXPECT_EQ(found[1].producers.size(), 1);
  tensors.push_back({"n.bias", {4}});
  tensors.push_back({"up.bias", {6}});
  tensors.push_back({"down.bias", {4}});
  found = edges(tensors);
  ASSERT_EQ(found[0].producers.size(), 2);
  EXPECT_EQ(found[0].producers[1].tensor, "n.bias");
  ASSERT_EQ(found[1].producers.size(), 2);
  EXPECT_EQ(found[1].producers[1].tensor, "up.bias");
  EXPECT_EQ(found[1].consumers[0].tensor, "down.weight");
  tensors.push_back({"other", {4}});
  expect_error([&] { static_cast<void>(edges(tensors)); }, Errc::kUnsupported, "tensor 'other' [4] is not known");
}

}  // namespace
}  // namespace sinq::test
