// A type that lacks a function of the concept is refused where the user wrote it, not deep inside the library.
#include <sinq/sinq.hpp>

#include <span>

namespace my {
struct Quantizer {
  void validate() const {}
  sinq::CodeFormat format() const { return {.bits = 2}; }
#ifndef SINQ_MISUSE
  sinq::GroupFit fit(std::span<const float>) const { return {}; }
#endif
};
}  // namespace my

sinq::QuantizedMatrix f(const sinq::RowMatrix& w) { return sinq::quantize(w, sinq::Config<my::Quantizer>{}); }
