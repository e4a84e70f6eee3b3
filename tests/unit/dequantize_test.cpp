// Decoding hand-made matrices, bit for bit: every code width, aux format, offset kind, column scale per row block,
// tables of levels, the lane trellis, windows.
#include <sinq/dequantize.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"
#include "support/layouts.hpp"
#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using sinq::AuxFormat;
using sinq::Errc;
using sinq::Index;
using sinq::Layout;
using sinq::OffsetKind;
using sinq::QuantizedMatrix;
using sinq::Region;
using sinq::detail::TrellisCodes;
using sinq::test::put;
using sinq::test::put_aux;
using sinq::test::put_col_scale;
using sinq::test::Random;
using sinq::test::throws_error;

/// A matrix whose every stored value is random, and what it decodes to, from the formula in Layout's comment evaluated
/// in float in the order that design.md section 1 promises.
class HandMade {
 public:
  HandMade(const Layout& layout, std::uint64_t seed) : random_(seed), q_(layout) {
    fill_levels();
    fill_aux();
    fill_codes();
  }

  [[nodiscard]] const QuantizedMatrix& matrix() const { return q_; }
  [[nodiscard]] Index rows() const { return q_.rows(); }
  [[nodiscard]] Index cols() const { return q_.cols(); }

  [[nodiscard]] float expected(Index r, Index c) const {
    const Layout& layout = q_.layout();
    const auto group = static_cast<std::size_t>(c / layout.group_size * layout.rows + r);
    const float normalized = (level(r, c) - zero_[group]) * scale_[group];
    const float scaled =
        layout.col_scale == sinq::ColScaleKind::kNone
            ? normalized
            : normalized * col_scale_[static_cast<std::size_t>(r / layout.row_block * layout.cols + c)];
    return scaled * layout.matrix_scale;
  }
  [[nodiscard]] std::vector<float> expected() const {
    std::vector<float> out;
    for (Index r = 0; r < rows(); ++r) {
      for (Index c = 0; c < cols(); ++c) out.push_back(expected(r, c));
    }
    return out;
  }

 private:
  [[nodiscard]] std::size_t at(Index r, Index c) const { return static_cast<std::size_t>(r * cols() + c); }

  [[nodiscard]] float level(Index r, Index c) const {
    const Layout& layout = q_.layout();
    if (TrellisCodes::holds(layout)) return trellis_levels_[at(r, c)];
    const auto code = codes_[at(r, c)];
    return layout.level_count == 0 ? static_cast<float>(code) : levels_[code];
  }

  /// Any bytes are codes.
  void fill_trellis() {
    for (std::byte& b : q_.region(Region::kCodes)) b = static_cast<std::byte>(random_.bits());
    const sinq::QuantizedView view = q_.view();
    const sinq::TrellisGeometry geometry = TrellisCodes(view.layout()).geometry();
    const sinq::TrellisTables tables = TrellisCodes::tables(view.region(Region::kLevels));
    for (Index r = 0; r < rows(); ++r) {
      const auto* panel = view.code_regions().codes + r / geometry.kPanelRows * geometry.panel_bytes();
      for (Index c = 0; c < cols(); ++c) {
        const auto window = geometry.window(panel, geometry.lane_of(r, c), geometry.step_of(r, c));
        trellis_levels_.push_back(static_cast<float>(tables.level(window)));
      }
    }
  }

  void fill_levels() {
    for (Index i = 0; i < q_.layout().level_count; ++i) {
      levels_.push_back(static_cast<float>(random_.gaussian()));
      if (sinq::detail::level_type(q_.layout()) == sinq::detail::LevelType::kF32) {
        put(q_, Region::kLevels, i, levels_.back());
      } else {
        const auto whole = static_cast<std::int8_t>(std::clamp(32.0F * levels_.back(), -42.0F, 42.0F));
        levels_.back() = static_cast<float>(whole);
        put(q_, Region::kLevels, i, whole);
      }
    }
  }

  void fill_aux() {
    const Layout& layout = q_.layout();
    const Index blocks = sinq::aux_blocks(layout.rows);
    for (Index i = 0; has_aux_blocks(layout.aux) && i < layout.groups() * blocks; ++i) {
      put(q_, Region::kGroupScaleBlocks, i, sinq::AuxBlock{sinq::float_to_half(-6.0F), sinq::float_to_half(0.02F)});
      if (layout.offset == OffsetKind::kShared) continue;
      put(q_, Region::kOffsetBlocks, i, sinq::AuxBlock{sinq::float_to_half(-3.0F), sinq::float_to_half(0.05F)});
    }
    for (Index i = 0; i < layout.groups() * layout.rows; ++i) {
      const auto scale_code = static_cast<std::uint8_t>(random_.bits());
      put_aux(q_, Region::kGroupScale, i, static_cast<float>(0.01 + random_.uniform()), scale_code);
      if (layout.offset == OffsetKind::kShared) continue;
      put_aux(q_, Region::kOffset, i, static_cast<float>(8 * random_.gaussian()),
              static_cast<std::uint8_t>(random_.bits()));
    }
    for (Index i = 0; layout.col_scale == sinq::ColScaleKind::kStored && i < layout.row_blocks() * layout.cols; ++i) {
      put_col_scale(q_, i, static_cast<float>(0.5 + random_.uniform()));
    }
    // What was stored, by the container's own decoder (which has its own test).
    const auto view = q_.view();
    scale_.resize(static_cast<std::size_t>(layout.groups() * layout.rows));
    zero_.resize(scale_.size());
    col_scale_.resize(static_cast<std::size_t>(layout.row_blocks() * layout.cols));
    for (Index g = 0; g < layout.groups(); ++g) {
      view.group_scales(g, {0, layout.rows}, scale_.data() + g * layout.rows);
      view.zero_points(g, {0, layout.rows}, zero_.data() + g * layout.rows);
    }
    for (Index b = 0; b < layout.row_blocks(); ++b) {
      view.col_scales(b * layout.row_block, {0, layout.cols}, col_scale_.data() + b * layout.cols);
    }
  }

  void fill_codes() {
    const Layout& layout = q_.layout();
    if (TrellisCodes::holds(layout)) return fill_trellis();
    for (Index r = 0; r < layout.rows; ++r) {
      for (Index c = 0; c < layout.cols; ++c) {
        codes_.push_back(static_cast<std::uint32_t>(random_.bits() & ((1U << layout.bits) - 1U)));
        sinq::test::put_code(q_, r, c, codes_.back());
      }
    }
  }

  Random random_;
  QuantizedMatrix q_;
  std::vector<std::uint32_t> codes_;
  std::vector<float> levels_, trellis_levels_, scale_, zero_, col_scale_;
};

std::vector<float> decode(const sinq::QuantizedView& q, sinq::Isa isa = sinq::Isa::kBest) {
  std::vector<float> out(static_cast<std::size_t>(q.rows() * q.cols()));
  dequantize_into(q, out, isa);
  return out;
}

std::string describe(const Layout& l) {
  return sinq::detail::text(l.rows, " x ", l.cols, ", ", l.bits, " bits, group ", l.group_size, ", block ", l.row_block,
                            ", levels ", l.level_count, ", offset ", static_cast<int>(l.offset), ", aux ",
                            static_cast<int>(l.aux));
}

/// Layouts of every kind around one width.
std::vector<Layout> layouts(int bits) {
  std::vector<Layout> out;
  for (const AuxFormat aux : {AuxFormat::kF16, AuxFormat::kF32, AuxFormat::kU8, AuxFormat::kU6}) {
    for (const OffsetKind offset : {OffsetKind::kShared, OffsetKind::kZeroPoint}) {
      Layout layout{.rows = 70,
                    .cols = 75,
                    .bits = bits,
                    .group_size = 32,
                    .row_block = 32,
                    .offset = offset,
                    .aux = aux,
                    .shared_zero_point = offset == OffsetKind::kShared ? 3.5F : 0.0F,
                    .matrix_scale = 0.0625F};
      out.push_back(layout);
      layout.col_scale = sinq::ColScaleKind::kNone;
      layout.group_size = 128;
      out.push_back(layout);
      layout.level_count = Index{1} << bits;
      out.push_back(layout);
    }
  }
  return out;
}

testing::AssertionResult agrees(const HandMade& hand_made, const std::vector<float>& decoded) {
  return sinq::test::same_bytes(decoded, hand_made.expected());
}

TEST(DequantizeScalar, EveryWidthAndFormat) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const Layout& layout : layouts(bits)) {
      const HandMade hand_made(layout, static_cast<std::uint64_t>(bits));
      for (const sinq::Isa isa : sinq::test::supported_isas()) {
        EXPECT_TRUE(agrees(hand_made, decode(hand_made.matrix(), isa))) << describe(layout) << " on " << name(isa);
      }
    }
  }
}

Layout trellis(int quarter_bits, AuxFormat aux = AuxFormat::kF16) {
  return {.rows = 300,
          .cols = 100,
          .bits = 0,
          .quarter_bits = quarter_bits,
          .group_size = 32,
          .row_block = 300,
          .level_count = sinq::TrellisTables::kBytes,
          .offset = OffsetKind::kShared,
          .aux = aux};
}

TEST(DequantizeTrellis, EveryRateAndFormat) {
  for (int q = sinq::TrellisGeometry::kMinQuarterBits; q <= sinq::TrellisGeometry::kMaxQuarterBits; ++q) {
    const HandMade hand_made(trellis(q, static_cast<AuxFormat>(q % 4)), static_cast<std::uint64_t>(q));
    for (const sinq::Isa isa : sinq::test::supported_isas()) {
      EXPECT_TRUE(agrees(hand_made, decode(hand_made.matrix(), isa))) << q << " quarter bits on " << name(isa);
    }
  }
}

TEST(DequantizeTrellis, RaggedShapesAndGroups) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {129, 17}, {128, 16}, {70, 500}, {257, 35}}) {
    for (const Index group_size : {16, 48, 64, 512}) {
      Layout layout = trellis(10);
      layout.rows = rows;
      layout.cols = cols;
      layout.group_size = group_size;
      layout.row_block = std::min<Index>(rows, 48);
      const HandMade hand_made(layout, 3);
      EXPECT_TRUE(agrees(hand_made, decode(hand_made.matrix()))) << describe(layout);
    }
  }
}

TEST(DequantizeTrellis, AnyRangeOfRows) {
  const HandMade hand_made(trellis(11), 4);
  for (const sinq::RowRange range : {sinq::RowRange{0, 1}, {5, 70}, {127, 129}, {100, 300}, {299, 300}}) {
    std::vector<float> out(static_cast<std::size_t>(range.size() * 100));
    dequantize_rows(hand_made.matrix(), range, out);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const Index r = static_cast<Index>(i) / 100, c = static_cast<Index>(i) % 100;
      ASSERT_EQ(out[i], hand_made.expected(range.begin + r, c)) << range.begin + r << ", " << c;
    }
  }
}

/// The first steps of a window read lines before it, and those of the matrix's first columns the end of their panel.
TEST(DequantizeTrellis, WindowsAreThatPartOfTheMatrix) {
  for (const int q : {6, 9, 17}) {
    const HandMade hand_made(trellis(q, AuxFormat::kU8), 5);
    for (const sinq::RowRange rows : {sinq::RowRange{0, 300}, {128, 256}, {256, 300}, {0, 128}}) {
      for (const sinq::ColRange cols : {sinq::ColRange{0, 100}, {32, 64}, {64, 100}, {96, 100}}) {
        const auto window = hand_made.matrix().view().row_slice(rows).col_slice(cols);
        const auto actual = decode(window);
        for (Index r = 0; r < rows.size(); ++r) {
          for (Index c = 0; c < cols.size(); ++c) {
            ASSERT_EQ(actual[static_cast<std::size_t>(r * cols.size() + c)],
                      hand_made.expected(rows.begin + r, cols.begin + c))
                << q << " quarter bits, " << r << ", " << c;
          }
        }
      }
    }
  }
}

// One weight of each part, worked out on paper.
TEST(Dequantize, ByHand) {
  QuantizedMatrix q({.rows = 1,
                     .cols = 8,
                     .bits = 1,
                     .group_size = 8,
                     .row_block = 1,
                     .level_count = 2,
                     .aux = AuxFormat::kF32,
                     .matrix_scale = 2.0F});
  put(q, Region::kLevels, 0, 1.0F);
  put(q, Region::kLevels, 1, 5.0F);
  put(q, Region::kCodes, 0, std::uint8_t{0b00100010});  // weights 1 and 5
  put(q, Region::kGroupScale, 0, 0.5F);
  put(q, Region::kOffset, 0, 0.25F);
  for (Index c = 0; c < 8; ++c) put(q, Region::kColScale, c, c == 7 ? 10.0F : 1.0F);
  // (level - 0.25) * 0.5 * col * 2
  const std::vector<float> expected{0.75F, 4.75F, 0.75F, 0.75F, 0.75F, 4.75F, 0.75F, 7.5F};
  EXPECT_EQ(decode(q), expected);
}

TEST(Dequantize, ZeroPointIsSubtractedBeforeScaling) {
  QuantizedMatrix q({.rows = 1, .cols = 8, .group_size = 8, .row_block = 1, .aux = AuxFormat::kF32});
  put(q, Region::kCodes, 0, std::uint32_t{0x76543210});
  put(q, Region::kGroupScale, 0, 0.1F);
  put(q, Region::kOffset, 0, 2.3F);
  for (Index c = 0; c < 8; ++c) put(q, Region::kColScale, c, 0.7F);
  const auto actual = decode(q);
  for (Index c = 0; c < 8; ++c) {
    const volatile float shifted = static_cast<float>(c) - 2.3F;
    const volatile float scaled = shifted * 0.1F;
    EXPECT_EQ(actual[static_cast<std::size_t>(c)], scaled * 0.7F);
  }
}

TEST(Dequantize, OneRowOneColumnAndRaggedEnds) {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{1, 1}, {1, 9}, {65, 1}, {3, 129}, {64, 64}, {129, 257}}) {
    for (const int bits : {1, 3, 4, 7, 8}) {
      for (const Index group_size : {8, 64, 512}) {
        const HandMade hand_made({.rows = rows,
                                  .cols = cols,
                                  .bits = bits,
                                  .group_size = group_size,
                                  .row_block = std::min<Index>(rows, 48),
                                  .aux = AuxFormat::kU8},
                                 5);
        for (const sinq::Isa isa : sinq::test::supported_isas()) {
          EXPECT_TRUE(agrees(hand_made, decode(hand_made.matrix(), isa))) << describe(hand_made.matrix().layout());
        }
      }
    }
  }
}

TEST(DequantizeRows, WritesTheRangeAndNothingElse) {
  const HandMade hand_made({.rows = 150, .cols = 75, .bits = 3, .group_size = 32, .row_block = 64}, 6);
  for (const sinq::RowRange range : {sinq::RowRange{0, 150}, {0, 1}, {63, 66}, {149, 150}, {40, 140}}) {
    for (const Index stride : {Index{0}, Index{75}, Index{80}}) {
      const Index step = stride == 0 ? 75 : stride;
      std::vector<float> out(static_cast<std::size_t>((range.size() - 1) * step + 75 + 3), -1.0F);
      dequantize_rows(hand_made.matrix(), range, std::span(out).first(out.size() - 3), stride);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const Index r = static_cast<Index>(i) / step, c = static_cast<Index>(i) % step;
        const bool written = r < range.size() && c < 75;
        ASSERT_EQ(out[i], written ? hand_made.expected(range.begin + r, c) : -1.0F) << i;
      }
    }
  }
}

TEST(DequantizeRows, ChecksItsArguments) {
  const HandMade hand_made({.rows = 10, .cols = 40, .group_size = 8, .row_block = 10}, 7);
  std::vector<float> out(400);
  const auto run = [&](sinq::RowRange range, std::size_t size, Index stride = 0) {
    return [&, range, size, stride] { dequantize_rows(hand_made.matrix(), range, std::span(out).first(size), stride); };
  };
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_rows", "[5, 11)", "10 rows"}, run({5, 11}, 400)));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_rows", "[-1, 2)"}, run({-1, 2}, 400)));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_rows", "[4, 3)"}, run({4, 3}, 400)));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_rows", "79 floats", "80"}, run({0, 2}, 79)));
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_rows", "out_stride 39", "40"}, run({0, 2}, 400, 39)));
  EXPECT_NO_THROW(run({3, 3}, 0)()) << "an empty range writes nothing";
  EXPECT_NO_THROW(run({0, 2}, 90, 50)()) << "the last row needs no padding";
  EXPECT_TRUE(throws_error(Errc::kBadShape, {"dequantize_into", "399 floats", "400"},
                           [&] { dequantize_into(hand_made.matrix(), std::span(out).first(399)); }));
}

// Tensor parallelism: a window decodes to that part of the matrix.
TEST(DequantizeWindows, AreThatPartOfTheMatrix) {
  std::vector<Layout> all{
      {.rows = 150, .cols = 100, .bits = 3, .group_size = 32, .row_block = 64},
      {.rows = 150, .cols = 100, .bits = 5, .group_size = 32, .row_block = 150, .aux = AuxFormat::kU8},
      {.rows = 150,
       .cols = 100,
       .bits = 5,
       .group_size = 32,
       .row_block = 64,
       .level_count = 32,
       .offset = OffsetKind::kShared,
       .shared_zero_point = 0.5F}};
  for (const Layout& layout : all) {
    const HandMade hand_made(layout, 8);
    for (const sinq::RowRange rows : {sinq::RowRange{0, 150}, {70, 71}, {60, 140}}) {
      for (const sinq::ColRange cols : {sinq::ColRange{0, 100}, {32, 64}, {64, 100}, {96, 100}}) {
        const auto window = hand_made.matrix().view().row_slice(rows).col_slice(cols);
        const auto actual = decode(window);
        for (Index r = 0; r < rows.size(); ++r) {
          for (Index c = 0; c < cols.size(); ++c) {
            ASSERT_EQ(actual[static_cast<std::size_t>(r * cols.size() + c)],
                      hand_made.expected(rows.begin + r, cols.begin + c))
                << describe(layout) << r << ", " << c;
          }
        }
      }
    }
  }
}

TEST(DequantizeInto, IsTheSameOnEveryNumberOfThreads) {
  const HandMade hand_made({.rows = 1000, .cols = 40, .bits = 6, .group_size = 32, .row_block = 300}, 9);
  const auto expected = decode(hand_made.matrix());
  EXPECT_EQ(expected, hand_made.expected());
  for (const Index threads : {2, 5}) {
    std::vector<float> out(expected.size());
    dequantize_into(hand_made.matrix(), out, sinq::Isa::kBest, sinq::ThreadPool(threads));
    EXPECT_EQ(out, expected);
  }
}

}  // namespace
