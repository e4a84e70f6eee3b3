// A safetensors file with quantized tensors: opening them, decoding them, and multiplying by them.
#include <sinq/dequantize.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/kernels/matmul.hpp>

#include "harness.hpp"

#include <vector>

namespace {

using sinq::Index;

/// The same matrix with each region where nothing stands behind it, so that a byte read too many is seen.
class SeparateRegions {
 public:
  explicit SeparateRegions(const sinq::QuantizedView& q) {
    const std::byte* starts[sinq::kRegionCount] = {};
    for (int i = 0; i < sinq::kRegionCount; ++i) {
      const auto region = static_cast<sinq::Region>(i);
      const auto* from = q.region(region);
      if (from == nullptr) continue;
      auto& copy = copies_[static_cast<std::size_t>(i)];
      copy.assign(from, from + sinq::region_bytes(q.layout(), region));
      starts[i] = copy.data();
    }
    view_ = sinq::QuantizedView(q.layout(), starts);
  }
  [[nodiscard]] const sinq::QuantizedView& view() const { return view_; }

 private:
  std::vector<std::byte> copies_[sinq::kRegionCount];
  sinq::QuantizedView view_;
};

void multiply(const auto& weights, const std::vector<float>& x, Index batch) {
  std::vector<float> y(static_cast<std::size_t>(batch * weights.rows()));
  for (const auto precision : {sinq::Precision::kFloat, sinq::Precision::kInt15, sinq::Precision::kInt8}) {
    sinq::matmul(weights, sinq::Activations(x.data(), batch, weights.cols()), y, precision);
  }
}

void use(const sinq::QuantizedView& q) {
  constexpr Index kLargest = 1 << 14;  // weights; what is larger says nothing new
  if (q.rows() * q.cols() > kLargest) return;
  std::vector<float> weights(static_cast<std::size_t>(q.rows() * q.cols()));
  sinq::dequantize_into(q, weights);
  const SeparateRegions separate(q);
  sinq::dequantize_into(separate.view(), weights);
  for (const Index batch : {Index{1}, Index{3}}) {
    const std::vector<float> x(static_cast<std::size_t>(batch * q.cols()), 0.75F);
    multiply(separate.view(), x, batch);
    if (sinq::can_repack(q.layout())) {
      const sinq::RepackedMatrix panels = sinq::repack(separate.view());
      multiply(panels.view(), x, batch);
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return expect_error_or_success(data, size, [](std::span<const std::byte> bytes) {
    const auto file = sinq::io::SafetensorsFile::from_memory(bytes, "input");
    for (const auto& name : file.quantized_names()) use(file.quantized(name));
  });
}
