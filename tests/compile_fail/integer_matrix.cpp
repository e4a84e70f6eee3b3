// Integers are codes already, or a mistake.
#include <sinq/sinq.hpp>

#ifdef SINQ_MISUSE
using Scalar = int;
#else
using Scalar = double;
#endif

sinq::QuantizedMatrix f(const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>& w) { return sinq::quantize(w); }
