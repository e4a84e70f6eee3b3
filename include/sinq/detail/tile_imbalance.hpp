#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/normalize/imbalance.hpp>
#include <sinq/quantized_matrix.hpp>

namespace sinq::inline SINQ_ABI::detail {

struct ImbalancePair {
  double before = 1.0, after = 1.0;
};

/// Mean imbalance over the groups of columns of `w`, as it is and under the column scale stored in `q`. The
/// normalizer's row factors are folded into the group scales and cannot be told apart from them; in their place each
/// row is brought to unit deviation, which is what they aim at. Constant rows and columns are left out.
[[nodiscard]] inline ImbalancePair tile_imbalance(const MatrixView& w, const QuantizedView& q) {
  const auto ratio = [](const Vector<double>& rows, const Vector<double>& cols) {
    double least = std::numeric_limits<double>::infinity(), most = 0.0;
    for (const auto* list : {&rows, &cols}) {
      for (const double s : *list) {
        if (s > 0.0) least = std::min(least, s);
        most = std::max(most, s);
      }
    }
    return most == 0.0 ? 1.0 : most / least;
  };
  const Layout& layout = q.layout();
  const bool scaled = layout.col_scale == ColScaleKind::kStored;
  Vector<float> tile, col_scale(static_cast<std::size_t>(std::min(layout.group_size, q.cols())));
  ImbalancePair sum{0.0, 0.0};
  Index tiles = 0;
  for (Index r = 0; r < w.rows; r += layout.row_block) {
    const Index rows = std::min(layout.row_block, w.rows - r);
    for (Index c = 0; c < w.cols; c += layout.group_size) {
      const Index cols = std::min(layout.group_size, w.cols - c);
      ++tiles;
      if (rows < 2 || cols < 2) {
        sum.before += 1.0;
        sum.after += 1.0;
        continue;
      }
      tile.resize(static_cast<std::size_t>(rows * cols));
      read_rect(w, {r, c, rows, cols}, tile.data(), cols);
      const MatrixView view = MatrixView::row_major(tile.data(), rows, cols);
      Deviations std = deviations(view);
      const double before = ratio(std.row, std.col);
      sum.before += before;
      if (!scaled) {
        sum.after += before;
        continue;
      }
      q.col_scales(r, {c, c + cols}, col_scale.data());
      const auto each = [&](auto&& f) {
        for (Index i = 0; i < rows * cols; ++i) {
          f(tile[static_cast<std::size_t>(i)], static_cast<std::size_t>(i / cols), static_cast<std::size_t>(i % cols));
        }
      };
      each([&](float& x, std::size_t, std::size_t j) { x = col_scale[j] == 0.0F ? x : x / col_scale[j]; });
      std = deviations(view);
      each([&](float& x, std::size_t i, std::size_t) {
        x = std.row[i] == 0.0 ? x : static_cast<float>(static_cast<double>(x) / std.row[i]);
      });
      std = deviations(view);
      sum.after += ratio(std.row, std.col);
    }
  }
  return {sum.before / static_cast<double>(tiles), sum.after / static_cast<double>(tiles)};
}

}  // namespace sinq::inline SINQ_ABI::detail
