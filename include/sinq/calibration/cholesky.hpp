#pragma once

#include <sinq/calibration/symmetric_update.hpp>
#include <sinq/finite.hpp>

#include <cmath>

namespace sinq::inline SINQ_ABI::detail {

template <class Tag>
struct Cholesky;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/calibration/cholesky_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Columns that are eliminated together.
inline constexpr Index kCholeskyBlock = 64;

/// The block on the diagonal, column by column. False if it is not positive definite.
[[nodiscard]] inline bool factorize_block(double* a, Index stride, Index size) noexcept {
  for (Index j = 0; j < size; ++j) {
    for (Index i = j; i < size; ++i) {
      double sum = a[i * stride + j];
      for (Index k = 0; k < j; ++k) sum -= a[i * stride + k] * a[j * stride + k];
      if (i == j && !is_positive(sum)) return false;
      a[i * stride + j] = i == j ? std::sqrt(sum) : sum / a[j * stride + j];
    }
  }
  return true;
}

/// Replaces the lower triangle of a [size, size] by its Cholesky factor L, a = L L^T; the upper one is neither read nor
/// written. False, and rubbish, if `a` is not positive definite. The same bits for every number of threads.
template <Executor E>
[[nodiscard]] bool factorize_cholesky(double* a, Index size, Isa limit, const E& executor) {
  Vector<double> below;  // the rows below a block [rows][width], without gaps
  for (Index b = 0; b < size; b += kCholeskyBlock) {
    const Index width = std::min(kCholeskyBlock, size - b);
    double* diagonal = a + b * size + b;
    if (!factorize_block(diagonal, size, width)) return false;
    const Index rows = size - b - width;
    if (rows == 0) break;
    below.resize(static_cast<std::size_t>(rows * width));
    double* first = diagonal + width * size;
    dispatch(limit, [&](auto tag) {
      using Kernel = Cholesky<decltype(tag)>;
      const typename Kernel::Triangle triangle(diagonal, size, width);
      run_tasks(executor, ceil_div(rows, kCholeskyBlock), [&](Index task, Index) {
        const RowRange range{task * kCholeskyBlock, std::min((task + 1) * kCholeskyBlock, rows)};
        Kernel::solve(triangle, first, size, range, below.data());
      });
    });
    add_symmetric_product(first + width, size, rows, below.data(), width, -1.0, limit, executor);
  }
  return true;
}

}  // namespace sinq::inline SINQ_ABI::detail
