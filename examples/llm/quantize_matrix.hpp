#pragma once

#include <sinq/any_config.hpp>
#include <sinq/calibration/activation_stats.hpp>
#include <sinq/parallel/thread_pool.hpp>

namespace llm {

// As the functions of the library. They know every quantizer, so they are compiled once for all programs.

[[nodiscard]] sinq::QuantizedMatrix quantize_matrix(const sinq::MatrixView& w, const sinq::AnyConfig& config,
                                                    const sinq::ThreadPool& pool,
                                                    const sinq::QuantizeOptions& options = {});
[[nodiscard]] sinq::QuantizedMatrix quantize_matrix_awq(const sinq::MatrixView& w, const sinq::ActivationStats& stats,
                                                        const sinq::AnyConfig& config, const sinq::ThreadPool& pool);
[[nodiscard]] sinq::Layout layout_of(const sinq::MatrixView& w, const sinq::AnyConfig& config);

}  // namespace llm
