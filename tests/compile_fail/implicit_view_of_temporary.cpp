// As view_of_temporary.cpp, by conversion.
#include <sinq/sinq.hpp>

sinq::Index f(const sinq::RowMatrix& w) {
#ifdef SINQ_MISUSE
  const sinq::QuantizedView view = sinq::quantize(w);
#else
  const sinq::QuantizedMatrix q = sinq::quantize(w);
  const sinq::QuantizedView view = q;
#endif
  return view.rows();
}
