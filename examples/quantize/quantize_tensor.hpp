#pragma once

#include <sinq/io/checkpoint.hpp>
#include <sinq/io/checkpoint_writer.hpp>
#include <sinq/parallel/thread_pool.hpp>

#include "llm/json_file.hpp"
#include "quantize/conversion_plan.hpp"

namespace convert {

/// Whether the error of each quantized tensor is measured: that takes longer than quantizing itself.
enum class Errors : std::uint8_t { kNotMeasured, kMeasured };

/// Memory that `write_tensor` takes at most, input pages included.
[[nodiscard]] std::uint64_t memory_of(const TensorTask& task);

/// Quantizes or copies one tensor and writes what becomes of it; its pages are released. Returns its report: null if it
/// was copied or not measured. Throws what sinq::quantize throws, with the tensor's name in front, kBadData for numbers
/// that are not finite, copied ones too, and kIo.
[[nodiscard]] llm::Json write_tensor(const TensorTask& task, const ConversionPlan& plan, const sinq::ThreadPool& pool,
                                     Errors errors, sinq::io::ShardWriter& writer);

}  // namespace convert
