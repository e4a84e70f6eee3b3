#pragma once

#include <sinq/kernels/multiply.hpp>

#include <span>

namespace sinq::inline SINQ_ABI {

/// y[b * y_stride + r] = row r of w times activation b, for the rows of `rows` and the whole batch of x; y_stride is at
/// least w.rows(). Otherwise as `matvec`; the caller answers for the size of y.
template <Weights W>
void matmul(const W& w, const ScaledInput& x, RowRange rows, float* y, Index y_stride,
            Output output = Output::kOverwrite, Isa limit = Isa::kBest) {
  const auto& view = detail::view_of(w);
  x.require_fit("matmul", view, rows);
  if (y_stride < view.rows() || (y == nullptr && rows.size() != 0)) {
    SINQ_THROW(Errc::kBadShape, detail::text("matmul: y is null, or y_stride ", y_stride, " is less than the matrix's ",
                                             view.rows(), " rows"));
  }
  const detail::ResultView result{y, y_stride, output};
  const detail::DotKind kind = detail::best_dot(limit);
  if (x.batch() == 1) {
    detail::multiply_vector(view, x, rows, result, kind);
  } else {
    detail::multiply_batch(view, x, rows, result, kind);
  }
}

/// The same, and y must hold what is written: (x.batch() - 1) * y_stride + rows.end floats.
template <Weights W>
void matmul(const W& w, const ScaledInput& x, RowRange rows, std::span<float> y, Index y_stride,
            Output output = Output::kOverwrite, Isa limit = Isa::kBest) {
  const Index needed = (x.batch() - 1) * y_stride + rows.end;
  if (static_cast<Index>(y.size()) < needed) {
    SINQ_THROW(Errc::kBadShape, detail::text("matmul: y has ", y.size(), " elements, batch ", x.batch(),
                                             " with y_stride ", y_stride, " needs ", needed));
  }
  matmul(w, x, rows, y.data(), y_stride, output, limit);
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
  detail::for_each_share(detail::view_of(w), executor,
                         [&](RowRange rows) { matmul(w, input, rows, y.data(), w.rows(), Output::kOverwrite, limit); });
}

}  // namespace sinq::inline SINQ_ABI
