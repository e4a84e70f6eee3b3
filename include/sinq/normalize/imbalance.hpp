#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI {
namespace detail {

/// Unbiased standard deviations of all rows and columns, two passes in double. Needs two rows and columns.
struct Deviations {
  Vector<double> row, col;
};

[[nodiscard]] inline Deviations deviations(const MatrixView& w) {
  const auto cols = static_cast<std::size_t>(w.cols);
  Deviations out{Vector<double>(static_cast<std::size_t>(w.rows)), Vector<double>(cols, 0.0)};
  Vector<float> row(cols);
  Vector<double> mean(cols, 0.0);
  for (Index r = 0; r < w.rows; ++r) {
    read_rect(w, {r, 0, 1, w.cols}, row.data(), w.cols);
    double row_mean = 0.0, spread = 0.0;
    for (std::size_t c = 0; c < cols; ++c) {
      row_mean += static_cast<double>(row[c]);
      mean[c] += static_cast<double>(row[c]);
    }
    row_mean /= static_cast<double>(w.cols);
    for (const float x : row) spread += (static_cast<double>(x) - row_mean) * (static_cast<double>(x) - row_mean);
    out.row[static_cast<std::size_t>(r)] = std::sqrt(spread / static_cast<double>(w.cols - 1));
  }
  for (double& m : mean) m /= static_cast<double>(w.rows);
  for (Index r = 0; r < w.rows; ++r) {
    read_rect(w, {r, 0, 1, w.cols}, row.data(), w.cols);
    for (std::size_t c = 0; c < cols; ++c) {
      const double d = static_cast<double>(row[c]) - mean[c];
      out.col[c] += d * d;
    }
  }
  for (double& s : out.col) s = std::sqrt(s / static_cast<double>(w.rows - 1));
  return out;
}

}  // namespace detail

/// Matrix imbalance (arXiv 2509.22944, eq. 5): the greatest over the least of all row and column standard deviations,
/// unbiased. 1 for a matrix with fewer than two rows or columns or without any deviation; a constant row or column
/// beside others makes it infinite. Throws Errc::kBadShape for an empty matrix.
[[nodiscard]] inline double imbalance(const MatrixView& w) {
  detail::require_readable("imbalance", w);
  if (w.rows < 2 || w.cols < 2) return 1.0;
  const detail::Deviations std = detail::deviations(w);
  const auto [row_least, row_most] = std::minmax_element(std.row.begin(), std.row.end());
  const auto [col_least, col_most] = std::minmax_element(std.col.begin(), std.col.end());
  const double most = std::max(*row_most, *col_most);
  return most == 0.0 ? 1.0 : most / std::min(*row_least, *col_least);
}

}  // namespace sinq::inline SINQ_ABI
