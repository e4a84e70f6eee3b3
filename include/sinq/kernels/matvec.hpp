#pragma once

#include <sinq/kernels/multiply.hpp>

#include <span>

namespace sinq::inline SINQ_ABI {

/// y[r] = row r of w times x, for the rows of `rows`; y [w.rows()] covers all rows. Stateless, without allocation or
/// threads: callers may split the rows as they like, and get the same bits for every split.
/// Throws kBadShape before anything is written unless x was assigned, with a batch of one, for `w` or a matrix with the
/// same column scales, and `rows` lie within w and y.
template <Weights W>
void matvec(const W& w, const ScaledInput& x, RowRange rows, std::span<float> y, Output output = Output::kOverwrite,
            Isa limit = Isa::kBest) {
  const auto& view = detail::view_of(w);
  x.require_fit("matvec", view, rows);
  if (x.batch() != 1) {
    SINQ_THROW(Errc::kBadShape, detail::text("matvec: x is a batch of ", x.batch(), ", which is for matmul"));
  }
  if (static_cast<Index>(y.size()) < rows.end) {
    SINQ_THROW(Errc::kBadShape, detail::text("matvec: y has ", y.size(), " elements, the rows end at ", rows.end));
  }
  detail::multiply_vector(view, x, rows, {y.data(), 0, output}, detail::best_dot(limit));
}

/// y = w x, the rows spread over `executor`. Throws kBadShape.
template <Weights W, Executor E = Serial>
void matvec(const W& w, const Activations& x, std::span<float> y, Precision precision = Precision::kInt15,
            const E& executor = {}, Isa limit = Isa::kBest) {
  if (x.batch() != 1 || static_cast<Index>(y.size()) != w.rows()) {
    SINQ_THROW(Errc::kBadShape, detail::text("matvec: batch ", x.batch(), " is not 1, or y has ", y.size(),
                                             " elements instead of the matrix's ", w.rows(), " rows"));
  }
  ScaledInput input;
  input.assign(w, x, precision, limit);
  detail::for_each_share(detail::view_of(w), executor,
                         [&](RowRange rows) { matvec(w, input, rows, y, Output::kOverwrite, limit); });
}

}  // namespace sinq::inline SINQ_ABI
