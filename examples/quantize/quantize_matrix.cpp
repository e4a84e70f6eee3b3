#include "quantize/quantize_matrix.hpp"

namespace convert {

sinq::QuantizedMatrix quantize_matrix(const sinq::MatrixView& w, const sinq::AnyConfig& config,
                                      const sinq::ThreadPool& pool) {
  return sinq::quantize(w, config, {}, pool);
}

sinq::Layout layout_of(const sinq::MatrixView& w, const sinq::AnyConfig& config) { return sinq::layout_for(w, config); }

}  // namespace convert
