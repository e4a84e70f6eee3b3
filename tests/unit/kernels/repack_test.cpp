#include <sinq/kernels/repack.hpp>

#include "random_matrix.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::test;

class RepackBits : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Bits, RepackBits, testing::Range(1, 9));

TEST_P(RepackBits, RoundTripLosesNothing) {
  for (const Index group : {8, 16, 24, 64, 256, 4096}) {
    for (const Index cols : {1, 7, 32, 100, 513}) {
      for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
        for (const OffsetKind offset : {OffsetKind::kShared, OffsetKind::kZeroPoint}) {
          Layout layout = make_layout(83, cols, GetParam(), group);
          layout.aux = aux;
          layout.offset = offset;
          layout.level_count = Index{1} << GetParam();
          const QuantizedMatrix q = random_matrix(layout);
          const RepackedMatrix m = repack(q);
          const QuantizedMatrix back = to_row_major(m);
          EXPECT_EQ(back.layout(), q.layout());
          ASSERT_TRUE(same_bytes(back.storage(), q.storage())) << describe(layout);
        }
      }
    }
  }
}

/// The README's rule for one code bit: line of the unit and bit of the byte.
struct Place {
  int line;
  int bit;
};
Place place_of(int bits, int quad, int t) {
  switch (bits) {
    case 1:
    case 2:
    case 4:
    case 8:
      return {quad / (8 / bits), quad % (8 / bits) * bits + t};
    case 3:
      if (quad < 6) return {quad / 2, quad % 2 * 3 + t};
      return {((quad - 6) * 3 + t) / 2, 6 + ((quad - 6) * 3 + t) % 2};
    case 5:
      return t < 4 ? Place{quad / 2, quad % 2 * 4 + t} : Place{4, quad};
    case 6:
      return quad % 4 < 3 ? Place{quad / 4 * 3 + quad % 4, t} : Place{quad / 4 * 3 + t / 2, 6 + t % 2};
    default:
      return quad < 7 ? Place{quad, t} : Place{t, 7};
  }
}

TEST_P(RepackBits, PutsEachBitWhereTheReadmeSays) {
  constexpr Index kRows = 37, kCols = 300, kGroup = 40;
  const int bits = GetParam();
  const QuantizedMatrix q = random_matrix(make_layout(kRows, kCols, bits, kGroup));
  const QuantizedView rows = q.view();
  const RepackedMatrix m = repack(q);
  const RepackedView panels = m.view();
  const Index super_cols = 4 * kGroup;
  for (Index r = 0; r < kRows; ++r) {
    for (Index c = 0; c < kCols; ++c) {
      const std::uint8_t* lines = panels.super_block(r / 16, c / super_cols) + c % super_cols / 32 * bits * 64;
      std::uint32_t code = 0;
      for (int t = 0; t < bits; ++t) {
        const Place place = place_of(bits, static_cast<int>(c % super_cols % 32 / 4), t);
        const std::uint8_t byte = lines[place.line * 64 + r % 16 * 4 + c % 4];
        code |= static_cast<std::uint32_t>(byte >> place.bit & 1) << t;
      }
      ASSERT_EQ(code, code_at(rows.codes(r), c, bits)) << "row " << r << " column " << c;
    }
  }
}

TEST(Repack, StoresNoMoreThanRowMajorForWholePanels) {
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
    Layout layout = make_layout(256, 1024, 3, 64);
    layout.aux = aux;
    Index packed = 0, plain = 0;
    for (int i = 0; i < kPanelRegionCount; ++i) packed += panel_region_bytes(layout, static_cast<PanelRegion>(i));
    for (int i = 0; i < kRegionCount; ++i) plain += region_bytes(layout, static_cast<Region>(i));
    // A super-block's 6-bit aux, 2 * 4 * 12 bytes, fill up to two lines.
    const Index padding = aux == AuxFormat::kU6 ? 256 / 16 * (1024 / 64 / 4) * 32 : 0;
    EXPECT_EQ(packed, plain + padding);
  }
}

TEST(Repack, WindowsBecomeMatricesOfTheirOwn) {
  Layout layout = make_layout(200, 320, 4, 64);
  layout.row_block = 64;
  layout.aux = AuxFormat::kU8;
  const QuantizedMatrix q = random_matrix(layout);
  const QuantizedView window = q.view().row_slice({64, 190}).col_slice({128, 320});
  const RepackedMatrix m = repack(window);
  const QuantizedMatrix own = to_row_major(m);
  EXPECT_EQ(own.rows(), 126);
  EXPECT_EQ(own.cols(), 192);
  for (Index r = 0; r < own.rows(); ++r) {
    for (Index c = 0; c < own.cols(); ++c) {
      const Weight a = weight_at(window, r, c);
      const Weight b = weight_at(own.view(), r, c);
      ASSERT_EQ(a.level, b.level);
      ASSERT_EQ(a.scale, b.scale);
      ASSERT_EQ(a.offset, b.offset);
    }
  }
}

TEST(Repack, RefusesWhatItCannotHold) {
  Layout layout = make_layout(100, 64, 4, 64);
  layout.row_block = 30;
  const QuantizedMatrix q = random_matrix(layout);
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"row 10", "row_block 30"}, [&] {
    static_cast<void>(repack(q.view().row_slice({10, 70})));
  }));
  layout.aux = AuxFormat::kU8;
  const QuantizedMatrix u8 = random_matrix(layout);
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"row 30", "multiple of 64"}, [&] {
    static_cast<void>(repack(u8.view().row_slice({30, 60})));
  }));
  const QuantizedMatrix trellis = random_matrix(make_trellis_layout(16, 64, 10, 64));
  EXPECT_TRUE(throws_error(Errc::kUnsupported,
                           {"no row-interleaved order", "give matvec and matmul the matrix as it is"},
                           [&] { static_cast<void>(repack(trellis)); }));
}

TEST(Repack, SaysWhatToDoWithWhatItRefuses) {
  Layout layout = make_layout(100, 64, 4, 64);
  layout.row_block = 30;
  const QuantizedMatrix q = random_matrix(layout);
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"row 10", "start it at a multiple, or run it row-major"}, [&] {
    static_cast<void>(repack(q.view().row_slice({10, 70})));
  }));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"no rows"}, [&] { static_cast<void>(repack(QuantizedView())); }));
}

TEST(Repack, TakesTemporaries) {
  const Layout layout = make_layout(16, 64, 4, 64);
  const QuantizedMatrix back = to_row_major(repack(random_matrix(layout)));
  EXPECT_TRUE(same_bytes(back.storage(), random_matrix(layout).storage()));
}

TEST(Repack, ViewsRefuseShortBuffers) {
  const Layout layout = make_layout(16, 64, 4, 64);
  std::vector<std::byte> buffer(static_cast<std::size_t>(panel_storage_bytes(layout)) - 1);
  EXPECT_TRUE(
      throws_error(Errc::kBadShape, {"buffer"}, [&] { static_cast<void>(RepackedView::from_buffer(layout, buffer)); }));
  const std::byte* none[kPanelRegionCount] = {};
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"region 0"}, [&] { static_cast<void>(RepackedView(layout, none)); }));
}

template <class T>
concept GivesView = requires(T&& m) {
  std::forward<T>(m).view();
};
static_assert(GivesView<RepackedMatrix&> && GivesView<const RepackedMatrix&>);
static_assert(!GivesView<RepackedMatrix>, "the bytes would die with the temporary");

}  // namespace
