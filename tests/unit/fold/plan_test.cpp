#include <sinq/fold/plan.hpp>

#include "fold_support.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

const std::vector<TensorShape> kTensors{{"norm", {8}},  {"norm.bias", {8}}, {"a", {5, 8}},
                                        {"b", {8, 16}}, {"c", {2, 2, 2}},   {"small", {3, 4}}};

Plan plan_of(std::vector<Edge> edges) { return make_plan(std::move(edges), kTensors); }

TEST(FoldPlanTest, TakesDeclaredEdges) {
  const Plan plan =
      plan_of({{.channels = 8, .producers = {{"norm"}, {"norm.bias"}}, .consumers = {{"a"}}},
               {.channels = 4, .producers = {{"b", NormKind::kWeight, 2, 2, 4}}, .consumers = {{"small"}}}});
  EXPECT_EQ(plan.edges.size(), 2);
}

TEST(FoldPlanTest, RefusesEdgesThatDoNotFit) {
  const auto refused = [](Errc code, const std::string& why, std::vector<Edge> edges) {
    expect_error([&] { static_cast<void>(plan_of(edges)); }, code, why);
  };
  const Edge fine{.channels = 8, .producers = {{"norm"}}, .consumers = {{"a"}}};
  Edge edge = fine;
  edge.consumers = {{"z"}};
  refused(Errc::kBadShape, "no tensor z", {edge});
  edge.consumers = {{"c"}};
  refused(Errc::kBadShape, "c [2, 2, 2] cannot read the 8 channels of norm", {edge});
  edge.consumers = {{"b"}};
  refused(Errc::kBadShape, "b [8, 16]", {edge});
  edge.consumers = {{"b", 3, 2}};
  refused(Errc::kBadShape, "b [8, 16]", {edge});
  edge.consumers = {{"b", 0, 2}};
  refused(Errc::kBadShape, "b [8, 16]", {edge});
  edge = fine;
  edge.producers = {{"a"}};
  refused(Errc::kBadShape, "a [5, 8] cannot make the 8 channels", {edge});
  edge.producers = {{"norm", NormKind::kWeight, 1}};
  refused(Errc::kBadShape, "norm [8]", {edge});
  edge.producers = {{"b", NormKind::kOnePlusWeight}};
  refused(Errc::kBadShape, "b [8, 16]", {edge});
  edge.producers = {};
  refused(Errc::kBadConfig, "0 producers", {edge});
  refused(Errc::kBadConfig, "norm is named as producer twice", {fine, fine});
  Edge second{.channels = 8, .producers = {{"norm.bias"}}, .consumers = {{"a"}}};
  refused(Errc::kBadConfig, "a is named as consumer twice", {fine, second});
}

}  // namespace
}  // namespace sinq::test
