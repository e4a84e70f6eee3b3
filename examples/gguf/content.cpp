#include "gguf/content.hpp"

#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/io/finite.hpp>

#include "gguf/checkpoint_content.hpp"
#include "gguf/gguf_content.hpp"
#include "llm/gguf_source.hpp"

#include <cmath>
#include <limits>

namespace gguf {

std::unique_ptr<Content> open_content(const ConvertOptions& options) {
  if (llm::is_gguf(options.model)) return std::make_unique<GgufContent>(options);
  return std::make_unique<CheckpointContent>(options);
}

std::vector<float> folded_vector(std::vector<float> values, const sinq::fold::Factors* factors) {
  if (const auto bad = sinq::io::find_nonfinite(values)) {
    throw sinq::Error(sinq::Errc::kBadData, sinq::detail::text("row 0, column ", bad->at, " is ", bad->name));
  }
  if (factors == nullptr) return values;
  std::vector<double> products(values.begin(), values.end());
  factors->apply({0, static_cast<Index>(products.size())}, 1, products.data());
  for (std::size_t i = 0; i < products.size(); ++i) {
    if (!sinq::is_finite(products[i]) ||
        std::abs(products[i]) > static_cast<double>(std::numeric_limits<float>::max())) {
      throw sinq::Error(sinq::Errc::kBadData,
                        sinq::detail::text("row 0, column ", i, " is ", products[i], " when folded, beyond float32"));
    }
    values[i] = static_cast<float>(products[i]);
  }
  return values;
}

}  // namespace gguf
