#include <sinq/packing/trellis_codes.hpp>
#include <sinq/packing/trellis_decoder.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::ColRange;
using sinq::Errc;
using sinq::Index;
using sinq::Layout;
using sinq::OffsetKind;
using sinq::RowRange;
using sinq::TrellisTables;
using sinq::detail::TrellisCodes;

Layout trellis(Index rows, Index cols, int quarter_bits) {
  return {.rows = rows,
          .cols = cols,
          .bits = 0,
          .quarter_bits = quarter_bits,
          .row_block = rows,
          .level_count = TrellisTables::kBytes,
          .offset = OffsetKind::kShared};
}

TEST(TrellisCodes, RefuseWhatMakesNoSense) {
  EXPECT_TRUE(TrellisCodes::holds({.quarter_bits = 10}));
  EXPECT_FALSE(TrellisCodes::holds({}));
  EXPECT_FALSE(TrellisCodes::find_flaw(trellis(1, 1, 10)).has_value());
  const auto flaw = [](void (*spoil)(Layout&)) {
    Layout layout = trellis(256, 64, 10);
    spoil(layout);
    const auto found = TrellisCodes::find_flaw(layout);
    return found ? found->text : "none";
  };
  EXPECT_EQ(flaw([](Layout& l) { l.quarter_bits = 5; }), "quarter_bits 5 is not in 6..18");
  EXPECT_EQ(flaw([](Layout& l) { l.quarter_bits = 19; }), "quarter_bits 19 is not in 6..18");
  EXPECT_EQ(flaw([](Layout& l) { l.quarter_bits = -8; }), "quarter_bits -8 is not in 6..18");
  EXPECT_EQ(flaw([](Layout& l) { l.bits = 4; }), "bits 4 is not 0 beside quarter_bits 10");
  EXPECT_EQ(flaw([](Layout& l) { l.level_count = 0; }), "level_count 0 is not the 48 of the lane trellis");
  EXPECT_EQ(flaw([](Layout& l) { l.group_size = 24; }),
            "group_size 24 is not a multiple of 16, which the lane trellis needs");
  EXPECT_EQ(flaw([](Layout& l) { l.offset = OffsetKind::kZeroPoint; }),
            "the lane trellis stores no offsets, and its zero point is 0");
  EXPECT_EQ(flaw([](Layout& l) { l.shared_zero_point = 1.0F; }),
            "the lane trellis stores no offsets, and its zero point is 0");
}

/// One row of the most columns takes 128 rows of codes.
TEST(TrellisCodes, RefuseSizesThatPaddingOverflows) {
  const auto flaw = TrellisCodes::find_flaw(trellis(1, sinq::kMaxWeights, 18));
  ASSERT_TRUE(flaw.has_value());
  EXPECT_EQ(flaw->code, Errc::kBadShape);
  EXPECT_FALSE(TrellisCodes::find_flaw(trellis(1, sinq::kMaxWeights / 128, 18)).has_value());
}

TEST(TrellisCodes, LookIntoTables) {
  std::vector<std::int8_t> tables(TrellisTables::kBytes, 0);
  const TrellisCodes codes(trellis(1, 1, 8));
  EXPECT_EQ(codes.level_shape().size(), TrellisTables::kBytes);
  const auto flaw = [&] { return codes.find_level_flaw(reinterpret_cast<const std::byte*>(tables.data())); };
  tables[3] = -100;
  tables[20] = 20;
  tables[47] = 7;
  EXPECT_FALSE(flaw().has_value());
  tables[46] = -8;
  EXPECT_EQ(flaw(), "sums of its three tables reach 128, more than 127");
  tables[3] = -128;
  EXPECT_EQ(flaw(), "sums of its three tables reach 156, more than 127");
}

TEST(TrellisCodes, CountPaddedPanels) {
  const TrellisCodes codes(trellis(129, 17, 10));
  EXPECT_EQ(codes.code_shape().outer, 2);
  EXPECT_EQ(codes.code_shape().inner, 2 * 10 * 64);
  EXPECT_EQ(codes.row_step(), 128);
}

/// Any rows and any blocks of columns, at every rate: the levels of the windows, which the geometry finds one by one.
TEST(TrellisCodes, UnpackLevelsOfWindows) {
  sinq::test::Random random(7);
  std::vector<std::byte> levels(TrellisTables::kBytes);
  for (auto& b : levels) b = static_cast<std::byte>(random.between(-42, 42));
  const TrellisTables tables = TrellisCodes::tables(levels.data());
  for (int q = sinq::TrellisGeometry::kMinQuarterBits; q <= sinq::TrellisGeometry::kMaxQuarterBits; ++q) {
    const TrellisCodes codes(trellis(200, 90, q));
    std::vector<std::uint8_t> stored(static_cast<std::size_t>(codes.code_shape().size()));
    for (auto& b : stored) b = static_cast<std::uint8_t>(random.between(0, 255));
    for (const sinq::Isa isa : sinq::test::supported_isas()) {
      for (const RowRange rows : {RowRange{0, 200}, RowRange{13, 14}, RowRange{120, 150}, RowRange{199, 200}}) {
        for (const ColRange cols : {ColRange{0, 90}, ColRange{16, 48}, ColRange{80, 90}}) {
          const Index stride = sinq::round_up(cols.size(), 16) + 16;
          std::vector<std::uint8_t> out(static_cast<std::size_t>(rows.size() * stride), 0);
          sinq::dispatch(isa, [&](auto tag) {
            codes.unpack<decltype(tag)>({stored.data(), levels.data()}, rows, cols, out.data(), stride);
          });
          for (Index r = rows.begin; r < rows.end; ++r) {
            const auto* panel = stored.data() + r / 128 * codes.geometry().panel_bytes();
            for (Index c = cols.begin; c < cols.end; ++c) {
              const auto window = codes.geometry().window(panel, sinq::TrellisGeometry::lane_of(r, c),
                                                          sinq::TrellisGeometry::step_of(r, c));
              ASSERT_EQ(out[static_cast<std::size_t>((r - rows.begin) * stride + c - cols.begin)],
                        tables.level(window) + sinq::detail::kLevelZero)
                  << q << " quarter bits, row " << r << ", column " << c;
            }
          }
        }
      }
    }
  }
}

}  // namespace
