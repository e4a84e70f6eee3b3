// A column-major matrix is neither one vector nor a batch of rows.
#include <sinq/sinq.hpp>

#include <vector>

#ifdef SINQ_MISUSE
using Matrix = Eigen::MatrixXf;
#else
using Matrix = sinq::RowMatrix;
#endif

void f(const sinq::QuantizedMatrix& q, const Matrix& x, std::vector<float>& y) { sinq::matmul(q, x, y); }
