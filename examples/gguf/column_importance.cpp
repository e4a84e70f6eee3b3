#include "gguf/column_importance.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include <algorithm>
#include <cmath>

namespace gguf {

using sinq::Index;

std::vector<float> sinkhorn_importance(const sinq::MatrixView& matrix) {
  // Rows enough to know the columns by, and few enough for memory.
  constexpr Index kMostRows = 2048;
  const Index step = (matrix.rows + kMostRows - 1) / kMostRows, rows = (matrix.rows + step - 1) / step;
  std::vector<float> weights(static_cast<std::size_t>(rows * matrix.cols));
  for (Index r = 0; r < rows; ++r) {
    sinq::detail::read_rect(matrix, {r * step, 0, 1, matrix.cols}, weights.data() + r * matrix.cols, matrix.cols);
  }
  auto scale = sinq::balance(sinq::MatrixView::row_major(weights.data(), rows, matrix.cols), sinq::Sinkhorn{});
  std::transform(scale.col.begin(), scale.col.end(), scale.col.begin(), [](float col) { return 1.0F / (col * col); });
  return std::move(scale.col);
}

std::vector<float> activation_importance(const sinq::ActivationStats& stats) {
  double greatest = 0.0;
  for (Index c = 0; c < stats.cols(); ++c) greatest = std::max(greatest, stats.mean_square(c));
  const double unit = greatest > 0.0 ? std::ldexp(1.0, std::ilogb(greatest)) : 1.0;
  std::vector<float> out;
  for (Index c = 0; c < stats.cols(); ++c) out.push_back(static_cast<float>(stats.mean_square(c) / unit));
  return out;
}

void follow_fold(const sinq::fold::Factors* factors, std::vector<float>& importance) {
  if (factors == nullptr || factors->cols.empty()) return;
  for (std::size_t c = 0; c < importance.size(); ++c) {
    importance[c] = static_cast<float>(static_cast<double>(importance[c]) / (factors->cols[c] * factors->cols[c]));
  }
}

}  // namespace gguf
