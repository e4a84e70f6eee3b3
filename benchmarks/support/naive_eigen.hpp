#pragma once

#include <sinq/eigen.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <limits>

namespace sinq::bench {

/// SINQ as one would write it from the paper: whole expressions of Eigen, logarithmic scales, all iterations run. What
/// the library is compared with.
struct NaiveEigen {
  int bits = 4;
  Index group_size = 64;
  int iterations = 16;  ///< 0: plain round-to-nearest

  using Codes = Eigen::Array<std::uint8_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Floats = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  struct Result {
    Codes codes;            ///< [rows, cols], a byte each
    Floats scale, zero;     ///< [rows, groups]
    Eigen::ArrayXf column;  ///< [cols]

    [[nodiscard]] RowMatrix dequantize(Index group) const {
      Floats out(codes.rows(), codes.cols());
      for (Index g = 0; g < scale.cols(); ++g) {
        const auto block = codes.middleCols(g * group, group).template cast<float>();
        out.middleCols(g * group, group) = (block.colwise() - zero.col(g)).colwise() * scale.col(g);
      }
      return (out.rowwise() * column.transpose()).matrix();
    }
  };

  /// `w` [rows, cols]; cols is a multiple of group_size.
  [[nodiscard]] Result quantize(const Eigen::Ref<const RowMatrix>& w) const {
    const Index groups = w.cols() / group_size;
    Result out{Codes(w.rows(), w.cols()), Floats(w.rows(), groups), Floats(w.rows(), groups),
               Eigen::ArrayXf::Ones(w.cols())};
    for (Index g = 0; g < groups; ++g) {
      const Floats tile = w.middleCols(g * group_size, group_size).array();
      Eigen::ArrayXf row = Eigen::ArrayXf::Ones(w.rows()), col = Eigen::ArrayXf::Ones(group_size);
      if (iterations > 0) balance(tile, row, col);
      const Floats x = scaled(tile, row, col);
      const float top = static_cast<float>((1 << bits) - 1);
      const Eigen::ArrayXf low = x.rowwise().minCoeff();
      const Eigen::ArrayXf scale = (x.rowwise().maxCoeff() - low).max(1e-4F) / top;
      const Eigen::ArrayXf zero = -low / scale;
      out.codes.middleCols(g * group_size, group_size) =
          ((x.colwise() / scale).colwise() + zero).rint().max(0.0F).min(top).template cast<std::uint8_t>();
      out.scale.col(g) = scale * row;
      out.zero.col(g) = zero;
      out.column.segment(g * group_size, group_size) = col;
    }
    return out;
  }

 private:
  [[nodiscard]] static Floats scaled(const Floats& tile, const Eigen::ArrayXf& row, const Eigen::ArrayXf& col) {
    return (tile.rowwise() / col.transpose()).colwise() / row;
  }

  /// Sinkhorn-Knopp on the standard deviations (arXiv 2509.22944, Algorithm 1).
  void balance(const Floats& tile, Eigen::ArrayXf& best_row, Eigen::ArrayXf& best_col) const {
    const auto rows = static_cast<float>(tile.rows()), cols = static_cast<float>(tile.cols());
    Eigen::ArrayXf log_row = Eigen::ArrayXf::Zero(tile.rows()), log_col = Eigen::ArrayXf::Zero(tile.cols());
    float best = std::numeric_limits<float>::infinity(), target = 0.0F;
    for (int k = 0; k < iterations; ++k) {
      const Floats x = scaled(tile, log_row.exp(), log_col.exp());
      const Eigen::ArrayXf row_mean = x.rowwise().mean(), col_mean = x.colwise().mean();
      const Eigen::ArrayXf row_std = ((x.colwise() - row_mean).square().rowwise().sum() / (cols - 1.0F)).sqrt();
      const Eigen::ArrayXf col_std =
          ((x.rowwise() - col_mean.transpose()).square().colwise().sum() / (rows - 1.0F)).sqrt();
      const float least = std::min(row_std.minCoeff(), col_std.minCoeff());
      const float imbalance = std::max(row_std.maxCoeff(), col_std.maxCoeff()) / least;
      if (k == 0) target = least;
      if (imbalance <= best) {
        best = imbalance;
        best_row = log_row.exp();
        best_col = log_col.exp();
      }
      log_row = (log_row + (row_std / target).max(0.7F).min(2.0F).log()).max(-0.3F).min(10.0F);
      log_col = (log_col + (col_std / target).max(0.7F).min(2.0F).log()).max(-0.3F).min(10.0F);
    }
  }
};

}  // namespace sinq::bench
