#include <sinq/fold/consumer_stack.hpp>

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldConsumerStackTest, StacksRowsAndSharedColumns) {
  // Element (r, c) of a is 100 + 10 r + c; b's columns 0..3 read head 0's two channels twice, 4..7 head 1's.
  std::vector<float> a, b;
  for (int r = 0; r < 2; ++r) {
    for (int c = 0; c < 4; ++c) a.push_back(static_cast<float>(100 + 10 * r + c));
  }
  for (int c = 0; c < 8; ++c) b.push_back(static_cast<float>(c));
  const Edge edge{
      .channels = 4,
      .producers = {},
      .consumers = {
          {.tensor = "a"}, {.tensor = "unheard", .say = Say::kNone}, {.tensor = "b", .block = 2, .repeat = 2}}};
  FactorMap factors;
  factors.of("a").cols = {1.0, 2.0, 1.0, 1.0};
  factors.of("a").rows = {1.0, 10.0};
  const fold::detail::ConsumerStack stack(edge, factors, [&](const std::string& name) {
    return name == "a" ? MatrixView::row_major(a.data(), 2, 4) : MatrixView::row_major(b.data(), 1, 8);
  });
  ASSERT_EQ(stack.rows(), 4);
  std::vector<float> all(4 * 4), part(4 * 5, -1.0F);
  stack.read({0, 4}, all.data(), 4);
  EXPECT_EQ(all, (std::vector<float>{100, 202, 102, 103, 1100, 2220, 1120, 1130, 0, 1, 4, 5, 2, 3, 6, 7}));
  stack.read({1, 3}, part.data(), 5);
  EXPECT_EQ(part,
            (std::vector<float>{202, 102, -1, -1, -1, 2220, 1120, -1, -1, -1, 1, 4, -1, -1, -1, 3, 6, -1, -1, -1}));
}

}  // namespace
}  // namespace sinq::test
