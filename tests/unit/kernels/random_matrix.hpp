#pragma once

#include <sinq/half.hpp>
#include <sinq/kernels/input_blocks.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/quantized_matrix.hpp>

#include "support/layouts.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace sinq::test {

inline constexpr Precision kPrecisions[] = {Precision::kFloat, Precision::kInt15, Precision::kInt8};

inline Layout make_layout(Index rows, Index cols, int bits, Index group) {
  Layout layout;
  layout.rows = rows;
  layout.cols = cols;
  layout.bits = bits;
  layout.group_size = group;
  layout.row_block = rows;
  layout.matrix_scale = 0.25F;
  return layout;
}

/// A lane trellis of `quarter_bits` / 4 bits.
inline Layout make_trellis_layout(Index rows, Index cols, int quarter_bits, Index group) {
  Layout layout = make_layout(rows, cols, 0, group);
  layout.quarter_bits = quarter_bits;
  layout.level_count = TrellisTables::kBytes;
  layout.offset = OffsetKind::kShared;
  return layout;
}

/// A matrix with random codes, aux values, column scales and levels: what no quantizer would produce, every code
/// equally likely in every place.
inline QuantizedMatrix random_matrix(const Layout& layout, std::uint32_t seed = 1) {
  QuantizedMatrix q(layout);
  std::mt19937 rng(seed);
  const auto uniform = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(rng); };
  const auto byte = [&] { return static_cast<std::uint8_t>(rng() & 0xffU); };
  const std::uint32_t mask = (1U << layout.bits) - 1U;
  const bool is_trellis = detail::TrellisCodes::holds(layout);
  if (is_trellis) {
    for (auto& b : q.region(Region::kCodes)) b = static_cast<std::byte>(byte());
  }
  for (Index r = 0; r < (is_trellis ? 0 : layout.rows); ++r) {
    for (Index c = 0; c < layout.cols; ++c) put_code(q, r, c, static_cast<std::uint32_t>(rng()) & mask);
  }
  const Index values = layout.groups() * layout.rows;
  // Levels of a trellis are whole numbers, and their unit is part of the scales.
  const float unit = is_trellis ? 1.0F / 64.0F : 1.0F;
  const float top = layout.level_count == 0 ? static_cast<float>((1 << layout.bits) - 1) : 1.0F;
  for (Index i = 0; i < values; ++i) {
    put_aux(q, Region::kGroupScale, i, unit * uniform(0.01F, 0.03F), byte());
    if (layout.offset == OffsetKind::kZeroPoint) put_aux(q, Region::kOffset, i, uniform(0.0F, top), byte());
  }
  if (has_aux_blocks(layout.aux)) {
    for (Index i = 0; i < layout.groups() * aux_blocks(layout.rows); ++i) {
      // Scales between 2^-7 and 2^-4.
      put(q, Region::kGroupScaleBlocks, i, AuxBlock{float_to_half(uniform(-7.0F, -6.0F)), float_to_half(0.0078F)});
      if (layout.offset == OffsetKind::kShared) continue;
      put(q, Region::kOffsetBlocks, i, AuxBlock{float_to_half(0.0F), float_to_half(top / 255.0F)});
    }
  }
  if (layout.col_scale == ColScaleKind::kStored) {
    for (Index i = 0; i < layout.row_blocks() * layout.cols; ++i) put_col_scale(q, i, uniform(0.5F, 2.0F));
  }
  for (Index i = 0; i < layout.level_count; ++i) {
    const float level = uniform(-1.0F, 1.0F);
    if (is_trellis) {
      // Sums of three reach both ends of a signed byte.
      const int most = i < 16 ? 60 : i < 32 ? 40 : 27;
      const int entry = i % 16 == 3 ? most : i % 16 == 9 ? -most : static_cast<int>(static_cast<float>(most) * level);
      put(q, Region::kLevels, i, static_cast<std::int8_t>(entry));
    } else {
      put(q, Region::kLevels, i, level);
    }
  }
  return q;
}

/// Standard normal numbers.
inline std::vector<float> gaussian(Index count, std::uint32_t seed = 7) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& x : out) x = normal(rng);
  return out;
}

/// level, group_scale and offset part of one weight, as the container documents them; column scales stay apart.
struct Weight {
  double level = 0.0;   ///< level(code)
  double scale = 0.0;   ///< group_scale * col_scale * matrix_scale
  double offset = 0.0;  ///< what is added to level * scale, times col_scale * matrix_scale
  [[nodiscard]] double value() const { return level * scale + offset; }
};

inline Weight weight_at(const QuantizedView& q, Index r, Index c) {
  const Layout& layout = q.layout();
  const Index g = c / layout.group_size;
  float scale = 0.0F, zero = 0.0F, col = 0.0F;
  q.group_scales(g, {r, r + 1}, &scale);
  q.col_scales(r, {c, c + 1}, &col);
  const Index stored_col = q.col_range().begin + c;
  const double outer = static_cast<double>(col) * static_cast<double>(layout.matrix_scale);
  if (detail::TrellisCodes::holds(layout)) {
    const detail::TrellisCodes trellis(layout);
    const TrellisGeometry& geometry = trellis.geometry();
    const Index row = q.row_range().begin + r;
    const std::uint8_t* panel = q.code_regions().codes + row / TrellisGeometry::kPanelRows * geometry.panel_bytes();
    const auto window =
        geometry.window(panel, TrellisGeometry::lane_of(row, stored_col), TrellisGeometry::step_of(row, stored_col));
    const int level = detail::TrellisCodes::tables(q.code_regions().levels).level(window);
    return {static_cast<double>(level), static_cast<double>(scale) * outer, 0.0};
  }
  const auto* codes = reinterpret_cast<const std::uint8_t*>(q.region(Region::kCodes)) +
                      detail::ScalarCodes(layout).code_offset(q.row_range().begin + r, 0);
  const auto code = static_cast<Index>(code_at(codes, stored_col, layout.bits));
  const double level = layout.level_count == 0 ? static_cast<double>(code) : static_cast<double>(q.levels()[code]);
  q.zero_points(g, {r, r + 1}, &zero);
  return {level, static_cast<double>(scale) * outer, -static_cast<double>(zero) * static_cast<double>(scale) * outer};
}

/// W x in double precision with, per row, how far each precision may be from it.
struct Expected {
  std::vector<double> y;
  std::vector<double> float_bound;
  std::vector<double> int8_bound;
  std::vector<double> int15_bound;

  [[nodiscard]] double bound(Precision precision, Index row) const {
    const auto r = static_cast<std::size_t>(row);
    return precision == Precision::kFloat  ? float_bound[r]
           : precision == Precision::kInt8 ? int8_bound[r]
                                           : int15_bound[r];
  }
};

/// A matrix decoded in double precision, weight by weight: once for all that it is multiplied by.
class Decoded {
 public:
  explicit Decoded(const QuantizedView& q) : rows_(q.rows()), blocks_(q.cols(), q.layout().group_size) {
    std::vector<float> cols(static_cast<std::size_t>(q.cols()));
    weights_.reserve(static_cast<std::size_t>(rows_ * q.cols()));
    for (Index r = 0; r < rows_; ++r) {
      q.col_scales(r, {0, q.cols()}, cols.data());
      for (Index c = 0; c < q.cols(); ++c) {
        const Weight w = weight_at(q, r, c);
        weights_.push_back({.value = w.value(),
                            .magnitude = std::fabs(w.level * w.scale) + std::fabs(w.offset),
                            .scale = std::fabs(w.scale),
                            .col_scale = static_cast<double>(cols[static_cast<std::size_t>(c)])});
      }
    }
    double lowest = 0.0, highest = 0.0;
    for (Index i = 0; q.levels() != nullptr && i < q.layout().level_count; ++i) {
      lowest = std::min(lowest, static_cast<double>(q.levels()[i]));
      highest = std::max(highest, static_cast<double>(q.levels()[i]));
    }
    level_range_ = highest - lowest;
  }

  /// W x; `x` [cols].
  [[nodiscard]] Expected times(const float* x) const {
    Expected out;
    const Entry* w = weights_.data();
    for (Index r = 0; r < rows_; ++r) {
      double y = 0.0, magnitude = 0.0, moved = 0.0, table = 0.0;
      for (Index b = 0; b < blocks_.count; ++b) {
        double largest = 0.0;  // of x * col_scale
        double weights = 0.0;  // sum of |w| / col_scale
        for (Index c = blocks_.first_col(b); c < blocks_.first_col(b) + blocks_.col_count(b); ++c, ++w) {
          const double xc = static_cast<double>(x[c]), size = std::fabs(xc);
          y += w->value * xc;
          magnitude += w->magnitude * size;
          largest = std::max(largest, size * w->col_scale);
          weights += std::fabs(w->value) / w->col_scale;
          table += w->scale * size;
        }
        moved += largest * weights;
      }
      table *= level_range_;
      // Rounding to float of both terms, a dozen times in sequence at most where it does not cancel.
      const double rounding = 1e-6 * magnitude + 1e-30;
      out.y.push_back(y);
      out.float_bound.push_back(rounding);
      // Half a step of the largest activation of each block; half a step of the table of levels.
      out.int8_bound.push_back(moved / 254.0 * 1.001 + table / 254.0 * 1.01 + rounding);
      out.int15_bound.push_back(moved / 32512.0 * 1.001 + table / 32766.0 * 1.02 + rounding);
    }
    return out;
  }

 private:
  struct Entry {
    double value, magnitude, scale, col_scale;
  };

  Index rows_;
  InputBlocks blocks_;
  std::vector<Entry> weights_;  ///< [rows][cols]
  double level_range_ = 0.0;
};

inline std::string describe(const Layout& layout) {
  std::string text = std::to_string(layout.rows) + "x" + std::to_string(layout.cols);
  text += " bits " + std::to_string(layout.bits) + " group " + std::to_string(layout.group_size);
  text += layout.level_count == 0 ? " uniform" : " levels";
  text += layout.aux == AuxFormat::kF16 ? " f16" : layout.aux == AuxFormat::kF32 ? " f32" : " u8";
  text += layout.offset == OffsetKind::kShared ? " shared" : " zero_point";
  text += " row_block " + std::to_string(layout.row_block);
  return text;
}

}  // namespace sinq::test
