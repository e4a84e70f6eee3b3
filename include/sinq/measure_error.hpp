#pragma once

#include <sinq/dequantize.hpp>
#include <sinq/detail/kurtosis.hpp>
#include <sinq/detail/tile_imbalance.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantized_matrix.hpp>

namespace sinq::inline SINQ_ABI {

/// What quantization did to a matrix. Sums are taken in double, in row order: the same on every call.
struct ErrorReport {
  double mse = 0.0;                 ///< mean squared error of the weights
  double relative_frobenius = 0.0;  ///< ||deq - w|| / ||w||; 0 if both are zero
  double max_abs = 0.0;             ///< greatest absolute error
  double snr_db = 0.0;              ///< -20 log10(relative_frobenius); infinite without error
  double bits_per_weight = 0.0;     ///< all stored bits
  double imbalance_before = 1.0;    ///< mean over the groups of columns (paper eq. 5), see detail::tile_imbalance
  double imbalance_after = 1.0;     ///< the same under the stored column scale
  double kurtosis = 3.0;            ///< of the matrix, normal = 3
  /// ||X deq^T - X w^T|| / ||X w^T|| on the activations that were given; NaN without any.
  double relative_output_error = std::numeric_limits<double>::quiet_NaN();
};

/// Compares `q` with the matrix it came from, optionally also on activations X [tokens, cols].
/// Throws Errc::kBadShape if shapes differ. Memory: a few rows, a tile, and the activations as floats.
[[nodiscard]] inline ErrorReport measure_error(const MatrixView& w, const QuantizedView& q,
                                               const MatrixView& activations = {}) {
  if (w.rows != q.rows() || w.cols != q.cols()) {
    SINQ_THROW(Errc::kBadShape, detail::text("measure_error: the matrix is ", w.rows, " x ", w.cols,
                                             ", the quantized one ", q.rows(), " x ", q.cols()));
  }
  detail::require_readable("measure_error", w);
  const bool with_outputs = activations.data != nullptr;
  if (with_outputs) detail::require_readable("measure_error: activations", activations);
  if (with_outputs && activations.cols != w.cols) {
    SINQ_THROW(Errc::kBadShape,
               detail::text("measure_error: activations have ", activations.cols, " columns, the matrix has ", w.cols));
  }
  const auto cols = static_cast<std::size_t>(w.cols);
  detail::Vector<float> decoded(cols * static_cast<std::size_t>(detail::kWalkRows));
  detail::Vector<float> tokens;
  if (with_outputs) {
    tokens.resize(static_cast<std::size_t>(activations.rows) * cols);
    detail::read_rect(activations, {0, 0, activations.rows, activations.cols}, tokens.data(), activations.cols);
  }
  double square = 0.0, error = 0.0, output = 0.0, output_error = 0.0, max_abs = 0.0;
  detail::for_each_rows(w, InputRounding::kNone, [&](Index first, Index rows, const float* x) {
    dequantize_rows(q, {first, first + rows}, decoded);
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * cols; ++i) {
      const double d = static_cast<double>(decoded[i]) - static_cast<double>(x[i]);
      square += static_cast<double>(x[i]) * static_cast<double>(x[i]);
      error += d * d;
      max_abs = std::max(max_abs, std::fabs(d));
    }
    for (Index t = 0; t < (with_outputs ? activations.rows : 0); ++t) {
      const float* token = tokens.data() + static_cast<std::size_t>(t) * cols;
      for (Index r = 0; r < rows; ++r) {
        double y = 0.0, dy = 0.0;
        for (std::size_t c = 0; c < cols; ++c) {
          const std::size_t i = static_cast<std::size_t>(r) * cols + c;
          y += static_cast<double>(token[c]) * static_cast<double>(x[i]);
          dy += static_cast<double>(token[c]) * (static_cast<double>(decoded[i]) - static_cast<double>(x[i]));
        }
        output += y * y;
        output_error += dy * dy;
      }
    }
  });
  ErrorReport report;
  report.mse = error / (static_cast<double>(w.rows) * static_cast<double>(w.cols));
  report.relative_frobenius = error == 0.0 ? 0.0 : std::sqrt(error / square);
  report.max_abs = max_abs;
  report.snr_db = error == 0.0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(square / error);
  report.bits_per_weight = bits_per_weight(q.layout());
  const detail::ImbalancePair balance = detail::tile_imbalance(w, q);
  report.imbalance_before = balance.before;
  report.imbalance_after = balance.after;
  report.kurtosis = detail::kurtosis(w);
  if (with_outputs) report.relative_output_error = output_error == 0.0 ? 0.0 : std::sqrt(output_error / output);
  return report;
}

/// Of a matrix that may be a temporary, as `measure_error(w, quantize(w))`.
[[nodiscard]] inline ErrorReport measure_error(const MatrixView& w, const QuantizedMatrix& q,
                                               const MatrixView& activations = {}) {
  return measure_error(w, q.view(), activations);
}

}  // namespace sinq::inline SINQ_ABI
