#include <sinq/isa.hpp>
#include <sinq/packing/trellis_decoder.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sinq {
namespace {

using Geometry = TrellisGeometry;

/// Tables whose sums reach both ends of [-127, 127].
TrellisTables random_tables(std::mt19937& random) {
  const auto fill = [&](std::array<std::int8_t, 16>& table, int largest) {
    std::uniform_int_distribution<int> value(-largest, largest);
    for (auto& entry : table) entry = static_cast<std::int8_t>(value(random));
    table[random() % 8] = static_cast<std::int8_t>(largest);
    table[8 + random() % 8] = static_cast<std::int8_t>(-largest);
  };
  TrellisTables tables;
  fill(tables.a, 60);
  fill(tables.b, 40);
  fill(tables.c, 27);
  return tables;
}

void expect_plain_decode(const Geometry& g, const std::vector<std::uint8_t>& panel, Index first, Index count,
                         const TrellisTables& tables, int zero, Isa isa) {
  std::vector<std::uint8_t> levels(static_cast<std::size_t>(count * detail::kTrellisBlockLevels + 64), 77);
  const detail::TrellisLookup lookup(tables, zero);
  dispatch(isa, [&](auto tag) {
    detail::TrellisDecoder<decltype(tag)>::run(detail::TrellisLines(g, panel.data(), first, count), lookup,
                                               levels.data());
  });
  for (Index s = 0; s < count * Geometry::kBlockSteps; ++s) {
    for (Index lane = 0; lane < Geometry::kLineBytes; ++lane) {
      const int level = tables.level(g.window(panel.data(), lane, first * Geometry::kBlockSteps + s));
      ASSERT_EQ(levels[static_cast<std::size_t>(s * Geometry::kLineBytes + lane)],
                static_cast<std::uint8_t>(level + zero))
          << name(isa) << ", " << g.quarter_bits << " quarter bits, " << g.blocks() << " blocks, step " << s
          << " from block " << first << ", lane " << lane;
    }
  }
  EXPECT_TRUE(std::all_of(levels.end() - 64, levels.end(), [](auto byte) { return byte == 77; }));
}

TEST(TrellisDecoder, EveryRateEveryInstructionSet) {
  std::mt19937 random(5);
  for (const Isa isa : {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512}) {
    if (resolve(isa) != isa) continue;
    for (int q = Geometry::kMinQuarterBits; q <= Geometry::kMaxQuarterBits; ++q) {
      for (const Index blocks : {1, 2, 5}) {
        const Geometry g{.rows = 128, .cols = blocks * Geometry::kBlockCols, .quarter_bits = q};
        std::vector<std::uint8_t> panel(static_cast<std::size_t>(g.panel_bytes()));
        for (auto& byte : panel) byte = static_cast<std::uint8_t>(random());
        const TrellisTables tables = random_tables(random);
        expect_plain_decode(g, panel, 0, blocks, tables, 0, isa);
        expect_plain_decode(g, panel, blocks - 1, 1, tables, 128, isa);
        if (blocks == 5) expect_plain_decode(g, panel, 1, 3, tables, 128, isa);
      }
    }
  }
}

}  // namespace
}  // namespace sinq
