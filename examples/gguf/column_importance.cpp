#include "gguf/column_importance.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/sinkhorn.hpp>

#include "llm/parallel_for.hpp"

#include <algorithm>
#include <cmath>

namespace gguf {

using sinq::Index;

std::vector<float> sinkhorn_importance(const sinq::MatrixView& matrix, int threads) {
  constexpr Index kTile = 256;  // columns that are compared: the largest block
  constexpr float kPower = -3.0F;
  std::vector<float> out(static_cast<std::size_t>(matrix.cols));
  llm::parallel_for((matrix.cols + kTile - 1) / kTile, threads, [&](int, Index tile) {
    const Index begin = tile * kTile, width = std::min(kTile, matrix.cols - begin);
    std::vector<float> weights(static_cast<std::size_t>(matrix.rows * width));
    sinq::detail::read_rect(matrix, {0, begin, matrix.rows, width}, weights.data(), width);
    const auto scale = sinq::balance(sinq::MatrixView::row_major(weights.data(), matrix.rows, width), sinq::Sinkhorn{});
    std::transform(scale.col.begin(), scale.col.end(), out.begin() + begin,
                   [](float col) { return std::pow(col, kPower); });
  });
  return out;
}

void follow_fold(const sinq::fold::Factors* factors, std::vector<float>& importance) {
  if (factors == nullptr || factors->cols.empty()) return;
  for (std::size_t c = 0; c < importance.size(); ++c) {
    importance[c] = static_cast<float>(static_cast<double>(importance[c]) / (factors->cols[c] * factors->cols[c]));
  }
}

}  // namespace gguf
