// A row of a column-major matrix has gaps between its floats.
#include <sinq/sinq.hpp>

#include <vector>

void f(const sinq::QuantizedMatrix& q, const Eigen::MatrixXf& x, std::vector<float>& y) {
#ifdef SINQ_MISUSE
  sinq::matvec(q, x.row(3), y);
#else
  sinq::matvec(q, x.row(3).eval(), y);
#endif
}
