#include "llm/layer_report.hpp"

#include "llm/logits.hpp"
#include "llm/parallel_for.hpp"
#include "llm/session.hpp"

#include <cmath>

namespace llm {

double OutputError::relative() const { return squared_output > 0 ? std::sqrt(squared_error / squared_output) : 0; }

std::vector<OutputError> output_errors(const Model& model, const QuantizedModel& quantized, const TokenBlocks& blocks,
                                       int threads, const Step& step) {
  model.require_finite_embeddings();
  const std::size_t layers = quantized.layers.size();
  std::vector<std::vector<OutputError>> of_block(static_cast<std::size_t>(blocks.count()));
  parallel_for(blocks.count(), threads, [&](int, Index i) {
    auto& errors = of_block[static_cast<std::size_t>(i)];
    errors.resize(layers);
    std::vector<float> approximate;
    Session session(model, blocks.context);
    session.observe([&](LinearId id, const float* x, const float* y, Index count) {
      const Linear& linear = quantized.model.linear(id);
      const auto size = static_cast<std::size_t>(count * linear.weight->rows());
      approximate.resize(size);
      linear.apply(x, count, approximate.data());
      OutputError& error = errors[static_cast<std::size_t>(id.layer) * kBlockLinears.size() + id.linear];
      for (std::size_t k = 0; k < size; ++k) {
        const auto exact = static_cast<double>(y[k]);
        const double difference = static_cast<double>(approximate[k]) - exact;
        error.squared_error += difference * difference;
        error.squared_output += exact * exact;
      }
    });
    session.read(blocks.block(i));
    if (step) step();
  });
  std::vector<OutputError> out(layers);
  for (const auto& errors : of_block) {
    for (std::size_t k = 0; k < layers; ++k) {
      out[k].squared_error += errors[k].squared_error;
      out[k].squared_output += errors[k].squared_output;
    }
  }
  for (std::size_t k = 0; k < layers; ++k) {
    const std::string name = quantized.layers[k].name;
    static_cast<void>(require_finite((name + ": square of the outputs").c_str(), out[k].squared_output));
    static_cast<void>(require_finite((name + ": squared error of the outputs").c_str(), out[k].squared_error));
  }
  return out;
}

double overall(const std::vector<OutputError>& errors) {
  OutputError total;
  for (const OutputError& error : errors) {
    total.squared_error += error.squared_error;
    total.squared_output += error.squared_output;
  }
  return total.relative();
}

}  // namespace llm
