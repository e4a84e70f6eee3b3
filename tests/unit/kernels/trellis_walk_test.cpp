#include <sinq/kernels/trellis_walk.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace {

using namespace sinq;

/// Bytes of one panel, and tables whose sums reach both ends of [-127, 127].
struct RandomPanel {
  TrellisGeometry geometry;
  std::vector<std::uint8_t> codes;
  TrellisTables tables;

  RandomPanel(int quarter_bits, Index blocks, std::mt19937& random)
      : geometry{.rows = 128, .cols = blocks * TrellisGeometry::kBlockCols, .quarter_bits = quarter_bits},
        codes(static_cast<std::size_t>(geometry.panel_bytes())) {
    for (auto& byte : codes) byte = static_cast<std::uint8_t>(random());
    for (std::size_t i = 0; i < TrellisTables::kEntries; ++i) {
      tables.a[i] = static_cast<std::int8_t>(static_cast<int>(random() % 121) - 60);
      tables.b[i] = static_cast<std::int8_t>(static_cast<int>(random() % 81) - 40);
      tables.c[i] = static_cast<std::int8_t>(static_cast<int>(random() % 55) - 27);
    }
  }
};

// Directly, without a product that might hide an error in rounding.
TEST(TrellisWalk, GivesTheLevelsOfTheRule) {
  std::mt19937 random(3);
  for (const Isa isa : {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512}) {
    if (resolve(isa) != isa) continue;
    for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
      const RandomPanel panel(q, 3, random);
      for (const Index first : {0, 1}) {
        const Index count = 3 - first;
        std::vector<std::uint8_t> levels(static_cast<std::size_t>(count * detail::kTrellisBlockLevels));
        const detail::TrellisLookup lookup(panel.tables, 128);
        dispatch(isa, [&](auto tag) {
          detail::TrellisWalk<decltype(tag)>::run(
              detail::TrellisLines(panel.geometry, panel.codes.data(), first, count), lookup, levels.data());
        });
        for (std::size_t i = 0; i < levels.size(); ++i) {
          const auto step = static_cast<Index>(i / 64) + first * TrellisGeometry::kBlockSteps;
          const auto window = panel.geometry.window(panel.codes.data(), static_cast<Index>(i % 64), step);
          ASSERT_EQ(levels[i], panel.tables.level(window) + 128) << name(isa) << ", " << q << ", step " << step;
        }
      }
    }
  }
}

}  // namespace
