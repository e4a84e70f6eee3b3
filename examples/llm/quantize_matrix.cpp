#include "llm/quantize_matrix.hpp"

#include <sinq/calibration/awq.hpp>

namespace llm {

sinq::QuantizedMatrix quantize_matrix(const sinq::MatrixView& w, const sinq::AnyConfig& config,
                                      const sinq::ThreadPool& pool, const sinq::QuantizeOptions& options) {
  return sinq::quantize(w, config, options, pool);
}

sinq::QuantizedMatrix quantize_matrix_awq(const sinq::MatrixView& w, const sinq::ActivationStats& stats,
                                          const sinq::AnyConfig& config, const sinq::ThreadPool& pool) {
  return sinq::quantize_awq(w, stats, config, {}, {}, pool);
}

sinq::Layout layout_of(const sinq::MatrixView& w, const sinq::AnyConfig& config) { return sinq::layout_for(w, config); }

}  // namespace llm
