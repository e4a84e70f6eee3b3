#include "gguf/column_importance.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include <algorithm>
#include <cmath>

namespace gguf {

using sinq::Index;

std::vector<float> sinkhorn_importance(const sinq::MatrixView& matrix, sinq::RowRange rows) {
  // Rows enough to know the columns by, and few enough for memory.
  constexpr Index kMostRows = 2048;
  const Index all = rows.end - rows.begin;
  const Index step = (all + kMostRows - 1) / kMostRows, count = (all + step - 1) / step;
  std::vector<float> weights(static_cast<std::size_t>(count * matrix.cols));
  for (Index r = 0; r < count; ++r) {
    sinq::detail::read_rect(matrix, {rows.begin + r * step, 0, 1, matrix.cols}, weights.data() + r * matrix.cols,
                            matrix.cols);
  }
  auto scale = sinq::balance(sinq::MatrixView::row_major(weights.data(), count, matrix.cols), sinq::Sinkhorn{});
  std::transform(scale.col.begin(), scale.col.end(), scale.col.begin(), [](float col) { return 1.0F / (col * col); });
  return std::move(scale.col);
}

std::vector<float> importance_of(std::span<const double> mean_squares) {
  double sum = 0.0, greatest = 0.0;
  Index used = 0;
  for (const double value : mean_squares) {
    sum += value;
    greatest = std::max(greatest, value);
    used += value > 0.0 ? 1 : 0;
  }
  if (used == 0) return {};
  const double unit = std::ldexp(1.0, std::ilogb(greatest)), mean = sum / static_cast<double>(used);
  std::vector<float> out;
  for (const double value : mean_squares) out.push_back(static_cast<float>((value > 0.0 ? value : mean) / unit));
  return out;
}

std::vector<float> activation_importance(const sinq::ActivationStats& stats) {
  std::vector<double> mean_squares;
  for (Index c = 0; c < stats.cols(); ++c) mean_squares.push_back(stats.mean_square(c));
  return importance_of(mean_squares);
}

void follow_fold(const sinq::fold::Factors* factors, std::vector<float>& importance) {
  if (factors == nullptr || factors->cols.empty()) return;
  for (std::size_t c = 0; c < importance.size(); ++c) {
    importance[c] = static_cast<float>(static_cast<double>(importance[c]) / (factors->cols[c] * factors->cols[c]));
  }
}

}  // namespace gguf
