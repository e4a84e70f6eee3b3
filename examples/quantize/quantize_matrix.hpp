#pragma once

#include <sinq/any_config.hpp>
#include <sinq/parallel/thread_pool.hpp>

namespace convert {

/// As sinq::quantize and sinq::layout_for; compiled once, because they know every quantizer.
[[nodiscard]] sinq::QuantizedMatrix quantize_matrix(const sinq::MatrixView& w, const sinq::AnyConfig& config,
                                                    const sinq::ThreadPool& pool);
[[nodiscard]] sinq::Layout layout_of(const sinq::MatrixView& w, const sinq::AnyConfig& config);

}  // namespace convert
