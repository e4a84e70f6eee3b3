// A view of a temporary would show freed memory.
#include <sinq/sinq.hpp>

sinq::Index f(const sinq::RowMatrix& w) {
#ifdef SINQ_MISUSE
  const sinq::QuantizedView view = sinq::quantize(w).view();
#else
  const sinq::QuantizedMatrix q = sinq::quantize(w);
  const sinq::QuantizedView view = q.view();
#endif
  return view.rows();
}
