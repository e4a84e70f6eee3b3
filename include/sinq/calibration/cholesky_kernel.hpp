// Compiled once per instruction set by cholesky.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct Cholesky<SINQ_ISA> {
  using S = SimdDouble<SINQ_ISA>;
  using D = S::D;
  static constexpr Index kBlock = 64;

  /// A factored block, as substitution reads it: row k is what x_k takes from those after it.
  struct Triangle {
    Triangle(const double* block, Index stride, Index block_width) : width(block_width) {
      for (Index k = 0; k < width; ++k) {
        inverse[k] = 1.0 / block[k * stride + k];
        for (Index j = k + 1; j < width; ++j) minus[k * kBlock + j] = -block[j * stride + k];
      }
    }
    Index width;
    double inverse[kBlock] = {};
    double minus[kBlock * kBlock] = {};
  };

  /// Solves x L^T = row for some rows of the matrix, in place, and copies them to `copy` [rows][width].
  SINQ_TARGET static void solve(const Triangle& l, double* a, Index stride, RowRange rows, double* copy) noexcept {
    double x[kBlock] = {};
    for (Index r = rows.begin; r < rows.end; ++r) {
      std::copy(a + r * stride, a + r * stride + l.width, x);
      for (Index k = 0; k < l.width; ++k) {
        const double solved = x[k] * l.inverse[k];
        const D by = S::set1(solved);
        const double* minus = l.minus + k * kBlock;  // zero up to the diagonal
        for (Index j = k / S::kWidth * S::kWidth; j < l.width; j += S::kWidth) {
          S::store(x + j, S::fma(by, S::load(minus + j), S::load(x + j)));
        }
        x[k] = solved;
      }
      std::copy(x, x + l.width, a + r * stride);
      std::copy(x, x + l.width, copy + r * l.width);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
