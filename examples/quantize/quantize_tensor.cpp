#include "quantize/quantize_tensor.hpp"

#include <sinq/any_config.hpp>
#include <sinq/finite.hpp>
#include <sinq/io/plain_tensor.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/measure_error.hpp>

#include "common/named_error.hpp"

#include <algorithm>
#include <cmath>

namespace convert {
namespace {

constexpr std::uint64_t kCopiedAtOnce = std::uint64_t{8} << 20;

llm::Json report_of(const TensorTask& task, const sinq::ErrorReport& error) {
  return {{"name", task.source->info.name},
          {"rows", task.layout.rows},
          {"cols", task.layout.cols},
          {"bits",
           task.layout.quarter_bits != 0 ? llm::Json(0.25 * task.layout.quarter_bits) : llm::Json(task.layout.bits)},
          {"recipe", *task.recipe},
          {"bits_per_weight", error.bits_per_weight},
          {"mse", error.mse},
          {"relative_error", error.relative_frobenius},
          {"max_abs_error", error.max_abs},
          {"snr_db", sinq::is_finite(error.snr_db) ? llm::Json(error.snr_db) : llm::Json()},
          {"imbalance_before", error.imbalance_before},
          {"imbalance_after", error.imbalance_after},
          {"kurtosis", error.kurtosis}};
}

void copy_tensor(const TensorTask& task, sinq::io::ShardWriter& writer) {
  sinq::io::for_each_plain_part(*task.source, [&](std::uint64_t at, std::span<const std::byte> bytes) {
    writer.write(task.source->info.name, at, bytes);
  });
}

}  // namespace

std::uint64_t memory_of(const TensorTask& task) {
  if (!task.recipe) return std::min(task.source_bytes(), kCopiedAtOnce);
  return task.source_bytes() + static_cast<std::uint64_t>(sinq::storage_bytes(task.layout));
}

llm::Json write_tensor(const TensorTask& task, const ConversionPlan& plan, const sinq::ThreadPool& pool, Errors errors,
                       sinq::io::ShardWriter& writer) {
  if (!task.recipe) {
    copy_tensor(task, writer);
    return {};
  }
  const auto& info = task.source->info;
  const sinq::MatrixView stored = task.source->matrix_view();
  return common::with_tensor_name(*task.source, [&] {
    const sinq::QuantizedMatrix q = sinq::quantize(stored, plan.configs[*task.recipe], {}, pool);
    sinq::Layout expected = task.layout;
    expected.matrix_scale = q.layout().matrix_scale;
    if (q.layout() != expected) throw sinq::Error(sinq::Errc::kBadShape, "the layout is not the one that was planned");
    const sinq::QuantizedView view = q.view();
    const auto tensors = sinq::io::quantized_tensor_infos(info.name, q.layout());
    const auto bytes = sinq::io::quantized_tensor_bytes(view);
    for (std::size_t i = 0; i < tensors.size(); ++i) writer.write(tensors[i].name, 0, bytes[i]);
    llm::Json report;
    if (errors == Errors::kMeasured) report = report_of(task, sinq::measure_error(stored, view));
    task.source->release();
    return report;
  });
}

}  // namespace convert
