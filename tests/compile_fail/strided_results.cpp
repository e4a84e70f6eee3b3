// Results go side by side.
#include <sinq/sinq.hpp>

#include <vector>

void f(const sinq::QuantizedMatrix& q, const std::vector<float>& x, Eigen::MatrixXf& y) {
#ifdef SINQ_MISUSE
  sinq::matvec(q, x, y.row(3));
#else
  sinq::matvec(q, x, {y.col(3).data(), static_cast<std::size_t>(y.rows())});
#endif
}
