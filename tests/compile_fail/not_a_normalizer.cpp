// A type that lacks a function of the concept is refused where the user wrote it, not deep inside the library.
#include <sinq/sinq.hpp>

namespace my {
struct Normalizer : sinq::Identity {
#ifdef SINQ_MISUSE
  void balance() const {}  // hides the right one
#endif
};
}  // namespace my

sinq::QuantizedMatrix f(const sinq::RowMatrix& w) {
  return sinq::quantize(w, sinq::Config<sinq::Uniform, my::Normalizer>{});
}
