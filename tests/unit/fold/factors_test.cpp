#include <sinq/fold/factors.hpp>

#include <gtest/gtest.h>

namespace sinq::test {

using namespace fold;
namespace {

TEST(FoldFactorsTest, ScalesSomeRowsOfAMatrix) {
  const Factors factors{.rows = {2.0, 3.0, 5.0}, .cols = {1.0, 10.0}, .norm = NormKind::kWeight};
  double rows[] = {1.0, 1.0, 7.0, 7.0};
  factors.apply({1, 3}, 2, rows);
  EXPECT_EQ(std::vector<double>(rows, rows + 4), (std::vector<double>{3.0, 30.0, 35.0, 350.0}));
}

TEST(FoldFactorsTest, NothingGivenIsOne) {
  double values[] = {1.5, -2.5};
  Factors{}.apply({0, 1}, 2, values);
  EXPECT_EQ(values[0], 1.5);
  EXPECT_EQ(values[1], -2.5);
}

TEST(FoldFactorsTest, NormsOfOnePlusWeight) {
  double values[] = {0.5, -0.25};
  Factors{.rows = {2.0, 4.0}, .cols = {}, .norm = NormKind::kOnePlusWeight}.apply({0, 2}, 1, values);
  EXPECT_EQ(values[0], 2.0);  // 1.5 * 2 - 1
  EXPECT_EQ(values[1], 2.0);  // 0.75 * 4 - 1
}

TEST(FoldFactorsTest, AreFoundByName) {
  FactorMap map;
  EXPECT_TRUE(map.empty());
  map.of("a").rows = {2.0};
  ASSERT_NE(map.find("a"), nullptr);
  EXPECT_EQ(map.find("a")->rows, std::vector<double>{2.0});
  EXPECT_EQ(map.find("b"), nullptr);
}

}  // namespace
}  // namespace sinq::test
