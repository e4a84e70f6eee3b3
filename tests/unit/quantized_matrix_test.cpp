#include <sinq/quantized_matrix.hpp>

#include "support/layouts.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using sinq::AuxBlock;
using sinq::AuxFormat;
using sinq::ColScaleKind;
using sinq::Errc;
using sinq::Index;
using sinq::Layout;
using sinq::OffsetKind;
using sinq::QuantizedMatrix;
using sinq::QuantizedView;
using sinq::Region;
using sinq::test::put;
using sinq::test::throws_error;

template <class T>
concept GivesView = requires(T&& m) {
  std::forward<T>(m).view();
};
static_assert(GivesView<QuantizedMatrix&> && GivesView<const QuantizedMatrix&>);
static_assert(!GivesView<QuantizedMatrix>, "the bytes would die with the temporary");
static_assert(std::is_convertible_v<QuantizedMatrix&, QuantizedView>);
static_assert(!std::is_convertible_v<QuantizedMatrix, QuantizedView>);
static_assert(std::is_nothrow_move_constructible_v<QuantizedMatrix> && !std::is_copy_constructible_v<QuantizedMatrix>);

Layout strips(Index rows, Index cols) { return {.rows = rows, .cols = cols, .row_block = rows}; }

Region region_at(int i) { return static_cast<Region>(i); }

TEST(LayoutTest, CountsGroupsBlocksAndBytes) {
  const Layout layout{.rows = 10, .cols = 100, .bits = 3, .group_size = 32, .row_block = 4};
  EXPECT_EQ(layout.groups(), 4);  // 32 + 32 + 32 + 4
  EXPECT_EQ(layout.row_blocks(), 3);
  EXPECT_EQ(region_bytes(layout, Region::kCodes), 10 * 38);  // 300 bits
}

TEST(LayoutTest, RegionSizesFollowTheFormat) {
  Layout layout{.rows = 130, .cols = 100, .bits = 4, .group_size = 64, .row_block = 64, .aux = AuxFormat::kF16};
  EXPECT_EQ(region_bytes(layout, Region::kCodes), 130 * 50);
  EXPECT_EQ(region_bytes(layout, Region::kGroupScale), 2 * 130 * 2);
  EXPECT_EQ(region_bytes(layout, Region::kOffset), 2 * 130 * 2);
  EXPECT_EQ(region_bytes(layout, Region::kGroupScaleBlocks), 0);
  EXPECT_EQ(region_bytes(layout, Region::kColScale), 3 * 100 * 2);
  EXPECT_EQ(region_bytes(layout, Region::kLevels), 0);
  layout.aux = AuxFormat::kF32;
  EXPECT_EQ(region_bytes(layout, Region::kGroupScale), 2 * 130 * 4);
  EXPECT_EQ(region_bytes(layout, Region::kColScale), 3 * 100 * 4);
  layout.aux = AuxFormat::kU8;
  EXPECT_EQ(region_bytes(layout, Region::kGroupScale), 2 * 130);
  EXPECT_EQ(region_bytes(layout, Region::kGroupScaleBlocks), 2 * 3 * 4);  // 130 rows are three blocks of 64
  EXPECT_EQ(region_bytes(layout, Region::kOffsetBlocks), 2 * 3 * 4);
  EXPECT_EQ(region_bytes(layout, Region::kColScale), 3 * 100 * 2) << "column scales stay f16";
  layout.offset = OffsetKind::kShared;
  EXPECT_EQ(region_bytes(layout, Region::kOffset), 0);
  EXPECT_EQ(region_bytes(layout, Region::kOffsetBlocks), 0);
  layout.col_scale = ColScaleKind::kNone;
  EXPECT_EQ(region_bytes(layout, Region::kColScale), 0);
}

TEST(LayoutTest, RegionsAreAlignedAndDoNotOverlap) {
  const Layout layout{
      .rows = 37, .cols = 75, .bits = 5, .group_size = 16, .row_block = 16, .level_count = 32, .aux = AuxFormat::kU8};
  Index end = 0;
  for (int i = 0; i < sinq::kRegionCount; ++i) {
    EXPECT_EQ(region_offset(layout, region_at(i)) % sinq::kRegionAlignment, 0) << i;
    EXPECT_GE(region_offset(layout, region_at(i)), end) << i;
    end = region_offset(layout, region_at(i)) + region_bytes(layout, region_at(i));
  }
  EXPECT_GE(storage_bytes(layout), end);
  EXPECT_LT(storage_bytes(layout), end + sinq::kRegionAlignment);
}

// The paper's table: 4 bits, groups of 64, f16 aux: 4 + 2 * 16/64 + the column scales' 16/rows, + 32 bits in all.
TEST(LayoutTest, BitsPerWeightCountsEveryStoredBit) {
  EXPECT_DOUBLE_EQ(bits_per_weight(strips(4096, 4096)), 4.5 + 16.0 / 4096 + 32.0 / (4096.0 * 4096.0));
  Layout u8 = strips(4096, 4096);
  u8.aux = AuxFormat::kU8;
  EXPECT_DOUBLE_EQ(bits_per_weight(u8), 4.25 + 2 * 32.0 / (64 * 64) + 16.0 / 4096 + 32.0 / (4096.0 * 4096.0));
  Layout table = strips(64, 64);
  table.level_count = 16;
  EXPECT_DOUBLE_EQ(bits_per_weight(table), 4.5 + 16.0 / 64 + (32.0 + 16 * 32) / 4096.0);
}

Layout trellis(Index rows, Index cols, int quarter_bits, Index group_size = 64) {
  return {.rows = rows,
          .cols = cols,
          .bits = 0,
          .quarter_bits = quarter_bits,
          .group_size = group_size,
          .row_block = rows,
          .level_count = 48,
          .offset = OffsetKind::kShared};
}

/// Rows are padded to 128, columns to 16, in the codes alone.
TEST(LayoutTest, TrellisBitsPerWeightCountThePadding) {
  Layout layout = trellis(4096, 4096, 10);
  EXPECT_EQ(region_bytes(layout, Region::kCodes), 4096 * 4096 / 8 * 10 / 4);
  EXPECT_EQ(region_bytes(layout, Region::kLevels), 48);
  EXPECT_EQ(region_bytes(layout, Region::kOffset), 0);
  EXPECT_DOUBLE_EQ(bits_per_weight(layout), 2.5 + 16.0 / 64 + 16.0 / 4096 + (32.0 + 48 * 8) / (4096.0 * 4096.0));
  layout = trellis(130, 20, 6, 16);
  EXPECT_EQ(region_bytes(layout, Region::kCodes), 2 * 2 * 6 * 64);
  const double scales = 2.0 * 130 * 16, columns = 20.0 * 16;
  EXPECT_DOUBLE_EQ(bits_per_weight(layout), (256 * 32 * 1.5 + scales + columns + 32 + 48 * 8) / (130.0 * 20.0));
}

TEST(LayoutTest, RefusesTrellisThatMakesNoSense) {
  EXPECT_NO_THROW(validate(trellis(130, 20, 6, 16)));
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"layout", "quarter_bits 19", "6..18"},
                           [] { validate(trellis(130, 20, 19, 16)); }));
  EXPECT_TRUE(
      throws_error(Errc::kBadConfig, {"layout", "group_size 24", "16"}, [] { validate(trellis(130, 20, 10, 24)); }));
}

TEST(LayoutTest, RefusesWhatMakesNoSense) {
  struct Bad {
    Errc code;
    const char* field;
    const char* value;
    void (*spoil)(Layout&);
  };
  const Bad all[] = {
      {Errc::kBadShape, "rows", "0", [](Layout& l) { l.rows = 0; }},
      {Errc::kBadShape, "rows", "-3", [](Layout& l) { l.rows = -3; }},
      {Errc::kBadShape, "cols", "0", [](Layout& l) { l.cols = 0; }},
      {Errc::kBadShape, "2^40", "2147483648", [](Layout& l) { l.rows = l.cols = Index{1} << 31; }},
      {Errc::kBadConfig, "bits", "0", [](Layout& l) { l.bits = 0; }},
      {Errc::kBadConfig, "bits", "9", [](Layout& l) { l.bits = 9; }},
      {Errc::kBadConfig, "group_size", "0", [](Layout& l) { l.group_size = 0; }},
      {Errc::kBadConfig, "group_size", "-8", [](Layout& l) { l.group_size = -8; }},
      {Errc::kBadConfig, "group_size", "44", [](Layout& l) { l.group_size = 44; }},
      {Errc::kBadConfig, "group_size", "9223372036854775800",
       [](Layout& l) { l.group_size = std::numeric_limits<Index>::max() / 8 * 8; }},
      {Errc::kBadConfig, "row_block", "0", [](Layout& l) { l.row_block = 0; }},
      {Errc::kBadConfig, "row_block", "9", [](Layout& l) { l.row_block = 9; }},
      {Errc::kBadConfig, "level_count", "15", [](Layout& l) { l.level_count = 15; }},
      {Errc::kBadConfig, "matrix_scale", "0", [](Layout& l) { l.matrix_scale = 0.0F; }},
      {Errc::kBadConfig, "matrix_scale", "-1", [](Layout& l) { l.matrix_scale = -1.0F; }},
      {Errc::kBadConfig, "matrix_scale", "nan", [](Layout& l) { l.matrix_scale = std::nanf(""); }},
      {Errc::kBadConfig, "shared_zero_point", "inf", [](Layout& l) { l.shared_zero_point = HUGE_VALF; }},
  };
  for (const Bad& bad : all) {
    Layout layout = strips(8, 64);
    bad.spoil(layout);
    EXPECT_TRUE(throws_error(bad.code, {bad.field, bad.value}, [&] { validate(layout); }));
    EXPECT_TRUE(throws_error(bad.code, {bad.field, bad.value}, [&] { QuantizedMatrix q(layout); }));
  }
  EXPECT_NO_THROW(validate(strips(8, 64)));
}

// Sizes of the largest matrix that passes can be computed.
TEST(LayoutTest, LargestLayoutDoesNotOverflow) {
  Layout layout{.rows = Index{1} << 20,
                .cols = Index{1} << 20,
                .bits = 8,
                .group_size = 8,
                .row_block = 1,
                .aux = AuxFormat::kF32};
  validate(layout);
  EXPECT_GT(storage_bytes(layout), Index{1} << 40);
  layout.group_size = Index{1} << 40;
  validate(layout);
  EXPECT_EQ(layout.groups(), 1);
}

TEST(QuantizedMatrixTest, StorageIsZeroedAndAligned) {
  for (int i = 0; i < 20; ++i) {
    QuantizedMatrix q(strips(3 + i, 40 + 7 * i));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(q.storage().data()) % sinq::kRegionAlignment, 0U);
    EXPECT_EQ(static_cast<Index>(q.storage().size()), storage_bytes(q.layout()));
    for (const std::byte b : q.storage()) ASSERT_EQ(b, std::byte{0});
    std::memset(q.storage().data(), 0xff, q.storage().size());
  }
}

TEST(QuantizedMatrixTest, RegionsTileTheStorage) {
  QuantizedMatrix q(strips(5, 130));
  for (int i = 0; i < sinq::kRegionCount; ++i) {
    const auto region = q.region(region_at(i));
    EXPECT_EQ(static_cast<Index>(region.size()), region_bytes(q.layout(), region_at(i)));
    EXPECT_EQ(region.data(), q.storage().data() + region_offset(q.layout(), region_at(i)));
    if (!region.empty()) {
      EXPECT_EQ(q.view().region(region_at(i)), region.data());
    } else {
      EXPECT_EQ(q.view().region(region_at(i)), nullptr);
    }
  }
}

TEST(QuantizedMatrixTest, ViewsSurviveAMove) {
  QuantizedMatrix q(strips(4, 64));
  const QuantizedView v = q.view();
  put(q, Region::kCodes, 0, std::uint8_t{0x5a});
  const QuantizedMatrix moved = std::move(q);
  EXPECT_EQ(v.codes(0)[0], 0x5a);
  EXPECT_EQ(moved.view().codes(0), v.codes(0));
}

TEST(QuantizedViewTest, FromPointersChecksThem) {
  QuantizedMatrix q(strips(4, 64));
  const std::byte* regions[sinq::kRegionCount];
  for (int i = 0; i < sinq::kRegionCount; ++i) regions[i] = q.view().region(region_at(i));
  const QuantizedView v(q.layout(), regions);
  EXPECT_EQ(v.rows(), 4);
  EXPECT_EQ(v.cols(), 64);
  EXPECT_EQ(v.codes(1), q.view().codes(1));
  regions[static_cast<int>(Region::kOffset)] = nullptr;
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"region 3", "null"}, [&] { QuantizedView(q.layout(), regions); }));
}

TEST(QuantizedViewTest, FromBufferChecksItsSize) {
  const QuantizedMatrix q(strips(4, 64));
  const auto all = q.storage();
  EXPECT_EQ(QuantizedView::from_buffer(q.layout(), all).codes(2), q.view().codes(2));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"buffer", "bytes"},
                           [&] { return QuantizedView::from_buffer(q.layout(), all.first(all.size() - 1)); }));
}

/// Aux values that tell row and group apart, in each format.
class ViewValues : public testing::TestWithParam<AuxFormat> {
 protected:
  static constexpr Index kRows = 150, kCols = 100, kGroups = 4;

  static Layout layout(AuxFormat aux, OffsetKind offset = OffsetKind::kZeroPoint) {
    return {.rows = kRows, .cols = kCols, .group_size = 32, .row_block = 64, .offset = offset, .aux = aux};
  }
  /// Exact in f16, and, with the blocks below, in 8 bits.
  static float scale(Index r, Index g) { return std::ldexp(1.0F, static_cast<int>(r % 5 + g)); }
  static float zero(Index r, Index g) { return static_cast<float>(r % 64 + 100 * g); }
  static float col(Index block, Index c) { return static_cast<float>(block * kCols + c + 1); }

  static QuantizedMatrix filled(const Layout& layout) {
    QuantizedMatrix q(layout);
    for (Index g = 0; g < kGroups; ++g) {
      for (Index r = 0; r < kRows; ++r) {
        const Index i = g * kRows + r;
        // 8 bits: scale = 2^(0 + 1 * code), zero = 100 g + 1 * code.
        sinq::test::put_aux(q, Region::kGroupScale, i, scale(r, g), static_cast<std::uint8_t>(r % 5 + g));
        sinq::test::put_aux(q, Region::kOffset, i, zero(r, g), static_cast<std::uint8_t>(r % 64));
      }
      if (!has_aux_blocks(layout.aux)) continue;
      for (Index b = 0; b < 3; ++b) {
        const auto one = sinq::float_to_half(1.0F);
        put(q, Region::kGroupScaleBlocks, g * 3 + b, AuxBlock{.minimum = 0, .step = one});
        put(q, Region::kOffsetBlocks, g * 3 + b,
            AuxBlock{.minimum = sinq::float_to_half(static_cast<float>(100 * g)), .step = one});
      }
    }
    for (Index b = 0; b < layout.row_blocks(); ++b) {
      for (Index c = 0; c < kCols; ++c) sinq::test::put_col_scale(q, b * kCols + c, col(b, c));
    }
    return q;
  }
};

TEST_P(ViewValues, DecodeWhateverTheWindow) {
  const QuantizedMatrix q = filled(layout(GetParam()));
  for (const sinq::RowRange rows : {sinq::RowRange{0, kRows}, {1, 2}, {63, 130}, {64, 150}}) {
    for (const sinq::ColRange cols : {sinq::ColRange{0, kCols}, {32, 64}, {64, kCols}, {96, kCols}}) {
      const QuantizedView v = q.view().row_slice(rows).col_slice(cols);
      ASSERT_EQ(v.rows(), rows.size());
      ASSERT_EQ(v.cols(), cols.size());
      ASSERT_EQ(v.groups(), sinq::ceil_div(cols.size(), 32));
      for (Index g = 0; g < v.groups(); ++g) {
        std::vector<float> scales(static_cast<std::size_t>(v.rows()));
        std::vector<float> zeros(scales.size());
        v.group_scales(g, {0, v.rows()}, scales.data());
        v.zero_points(g, {0, v.rows()}, zeros.data());
        for (Index r = 0; r < v.rows(); ++r) {
          const auto i = static_cast<std::size_t>(r);
          EXPECT_EQ(scales[i], scale(rows.begin + r, cols.begin / 32 + g));
          EXPECT_EQ(zeros[i], zero(rows.begin + r, cols.begin / 32 + g));
        }
      }
      std::vector<float> factors(static_cast<std::size_t>(v.cols()));
      for (Index r = 0; r < v.rows(); r += 7) {
        v.col_scales(r, {0, v.cols()}, factors.data());
        for (Index c = 0; c < v.cols(); ++c) {
          EXPECT_EQ(factors[static_cast<std::size_t>(c)], col((rows.begin + r) / 64, cols.begin + c));
        }
      }
    }
  }
}

TEST_P(ViewValues, DecodesPartsOfAGroup) {
  const QuantizedMatrix q = filled(layout(GetParam()));
  float out[3];
  q.view().group_scales(2, {70, 73}, out);
  for (Index i = 0; i < 3; ++i) EXPECT_EQ(out[i], scale(70 + i, 2));
  q.view().zero_points(1, {62, 65}, out);
  for (Index i = 0; i < 3; ++i) EXPECT_EQ(out[i], zero(62 + i, 1));
}

INSTANTIATE_TEST_SUITE_P(EveryAux, ViewValues,
                         testing::Values(AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6),
                         [](const auto& p) { return std::to_string(aux_bits(p.param)) + "Bits"; });

TEST(QuantizedViewTest, SharedZeroPointAndNoColumnScale) {
  Layout layout = strips(3, 64);
  layout.offset = OffsetKind::kShared;
  layout.shared_zero_point = 7.5F;
  layout.col_scale = ColScaleKind::kNone;
  const QuantizedMatrix q(layout);
  float out[3] = {};
  q.view().zero_points(0, {0, 3}, out);
  for (const float z : out) EXPECT_EQ(z, 7.5F);
  q.view().col_scales(0, {5, 8}, out);
  for (const float c : out) EXPECT_EQ(c, 1.0F);
}

TEST(QuantizedView, DecodesNothingThatTheWindowDoesNotHold) {
  const QuantizedMatrix q(strips(20, 100));
  const QuantizedView v = q.view().row_slice({1, q.rows()});
  std::vector<float> out(static_cast<std::size_t>(q.rows() + q.cols()));
  const auto refused = [&](std::string_view call, auto&& use) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, {call, "is not"}, use));
  };
  refused("group_scales", [&] { v.group_scales(v.groups(), {0, 1}, out.data()); });
  refused("group_scales", [&] { v.group_scales(0, {0, v.rows() + 1}, out.data()); });
  refused("group_scales", [&] { v.group_scales(-1, {0, 1}, out.data()); });
  refused("zero_points", [&] { v.zero_points(0, {2, 1}, out.data()); });
  refused("zero_points", [&] { v.zero_points(0, {-1, 1}, out.data()); });
  refused("col_scales", [&] { v.col_scales(v.rows(), {0, 1}, out.data()); });
  refused("col_scales", [&] { v.col_scales(0, {0, v.cols() + 1}, out.data()); });
}

TEST(QuantizedViewTest, SlicesPointAtTheirCodes) {
  const QuantizedMatrix q({.rows = 6, .cols = 64, .bits = 3, .group_size = 16, .row_block = 6, .level_count = 8});
  const QuantizedView v = q.view();
  const QuantizedView window = v.row_slice({2, 5}).row_slice({1, 3}).col_slice({16, 64}).col_slice({16, 48});
  EXPECT_EQ(window.row_range(), (sinq::RowRange{3, 5}));
  EXPECT_EQ(window.col_range(), (sinq::ColRange{32, 64}));
  EXPECT_EQ(window.first_group(), 2);
  EXPECT_EQ(window.codes(1), v.codes(4) + 32 * 3 / 8);
  EXPECT_EQ(window.levels(), v.levels());
  EXPECT_NE(window.levels(), nullptr);
  EXPECT_EQ(window.byte_levels(), nullptr) << "a table of floats is none of bytes";
}

TEST(QuantizedViewTest, TrellisIsCutBetweenPanels) {
  const QuantizedMatrix q(trellis(300, 100, 10, 32));
  const QuantizedView v = q.view();
  EXPECT_EQ(v.codes(0), nullptr) << "its rows are no streams of their own";
  EXPECT_EQ(v.levels(), nullptr);
  EXPECT_NE(v.byte_levels(), nullptr);
  EXPECT_EQ(v.row_slice({128, 256}).row_slice({0, 128}).row_range(), (sinq::RowRange{128, 256}));
  EXPECT_EQ(v.row_slice({256, 300}).col_slice({32, 100}).rows(), 44);
  for (const sinq::RowRange r : {sinq::RowRange{64, 128}, {0, 100}, {1, 300}}) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, {"row_slice", "multiples of 128 rows"}, [&] { return v.row_slice(r); }));
  }
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"col_slice", "group_size 32"}, [&] { return v.col_slice({16, 100}); }));
}

TEST(QuantizedViewTest, RefusesSlicesThatDoNotFit) {
  const QuantizedMatrix q(strips(8, 100));
  const QuantizedView v = q.view();
  for (const sinq::RowRange r : {sinq::RowRange{-1, 2}, {3, 3}, {4, 2}, {0, 9}}) {
    EXPECT_TRUE(throws_error(Errc::kBadShape, {"row_slice", "8 rows"}, [&] { return v.row_slice(r); }));
  }
  for (const sinq::ColRange c : {sinq::ColRange{-64, 64}, {64, 64}, {8, 64}, {0, 72}, {64, 128}, {0, 101}}) {
    EXPECT_TRUE(
        throws_error(Errc::kBadShape, {"col_slice", "100 columns", "group_size 64"}, [&] { return v.col_slice(c); }));
  }
  EXPECT_NO_THROW(static_cast<void>(v.col_slice({64, 100})));
  // Within a window, only its own end may be ragged.
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"col_slice"}, [&] { return v.col_slice({0, 64}).col_slice({0, 40}); }));
}

}  // namespace
