#include <sinq/packing/code_layout.hpp>

#include <gtest/gtest.h>

namespace {

using sinq::Index;
using sinq::Layout;
using sinq::detail::CodeLayout;
using sinq::detail::LayoutFlaw;
using sinq::detail::LevelType;
using sinq::detail::RegionShape;

/// One byte per weight: all that a layout of codes must have.
struct Bytes {
  static constexpr LevelType kLevelType = LevelType::kF32;
  explicit constexpr Bytes(const Layout& layout) : rows(layout.rows), cols(layout.cols) {}
  static bool holds(const Layout&) { return true; }
  static std::optional<LayoutFlaw> find_flaw(const Layout&) { return std::nullopt; }
  [[nodiscard]] RegionShape code_shape() const { return {rows, cols}; }
  [[nodiscard]] RegionShape level_shape() const { return {}; }
  [[nodiscard]] std::optional<std::string> find_level_flaw(const std::byte*) const { return std::nullopt; }
  [[nodiscard]] Index row_step() const { return 1; }
  [[nodiscard]] sinq::detail::UnpackShape unpack_shape() const { return {1, cols}; }
  Index rows, cols;
};
static_assert(CodeLayout<Bytes>);
static_assert(!CodeLayout<Layout>);

TEST(CodeLayout, RegionsHaveTheSizeOfTheirShape) {
  EXPECT_EQ(Bytes(Layout{.rows = 3, .cols = 5}).code_shape().size(), 15);
  EXPECT_EQ(RegionShape{}.size(), 0);
}

TEST(CodeLayout, LevelsAreFloatsOrBytes) {
  EXPECT_EQ(level_bytes(LevelType::kF32), 4);
  EXPECT_EQ(level_bytes(LevelType::kI8), 1);
}

}  // namespace
