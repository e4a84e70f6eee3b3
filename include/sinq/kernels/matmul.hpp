#pragma once

#include <sinq/kernels/row_kernels.hpp>

#include <span>

namespace sinq::inline SINQ_ABI {

/// y[b * y_stride + r] = row r of w times activation b, for the rows of `rows` and the whole batch of x; y_stride is at
/// least w.rows(). Otherwise as `matvec`.
template <Weights W>
void matmul(const W& w, const ScaledInput& x, RowRange rows, float* y, Index y_stride,
            Output output = Output::kOverwrite, Isa limit = Isa::kBest) noexcept {
  SINQ_ASSERT(x.cols() == w.cols() && rows.begin >= 0 && rows.end <= w.rows() && y_stride >= rows.end);
  const auto& view = detail::view_of(w);
  const detail::ResultView result{y, y_stride, output};
  detail::dispatch_dot(limit, [&](auto tag) {
    if (x.batch() == 1) {
      detail::matvec_rows<decltype(tag)>(view, x, rows, result);
    } else {
      detail::matmul_rows<decltype(tag)>(view, x, rows, result);
    }
  });
}

/// y [x.batch(), w.rows()], row-major without gaps, = x w^T, the rows of w spread over `executor`. Throws kBadShape.
template <Weights W, Executor E = Serial>
void matmul(const W& w, const Activations& x, std::span<float> y, Precision precision = Precision::kInt15,
            const E& executor = {}, Isa limit = Isa::kBest) {
  if (static_cast<Index>(y.size()) != x.batch() * w.rows()) {
    SINQ_THROW(Errc::kBadShape, detail::text("matmul: y has ", y.size(), " elements, batch ", x.batch(), " x rows ",
                                             w.rows(), " needs ", x.batch() * w.rows()));
  }
  ScaledInput input;
  input.assign(w, x, precision, limit);
  detail::for_each_share(w.rows(), executor,
                         [&](RowRange rows) { matmul(w, input, rows, y.data(), w.rows(), Output::kOverwrite, limit); });
}

}  // namespace sinq::inline SINQ_ABI
