#ifdef EVERY_METHOD
#endif
#include <sinq/sinq.hpp>
#ifdef WITH_IO
#include <sinq/io.hpp>
#endif

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

/// FNV-1a of all bytes that it was given.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) sum_ = (sum_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3U;
  }
  [[nodiscard]] unsigned long long value() const { return sum_; }

 private:
  std::uint64_t sum_ = 0xcbf29ce484222325U;
};

/// Quantized bytes, what they decode to, and products from both orders of storage.
void add(Checksum& sum, const sinq::QuantizedMatrix& q) {
  sum.add(q.storage());
  const sinq::RowMatrix decoded = sinq::dequantize(q);
  sum.add(std::as_bytes(std::span(decoded.data(), static_cast<std::size_t>(decoded.size()))));
  std::vector<float> x(static_cast<std::size_t>(q.cols()), 0.5F), y(static_cast<std::size_t>(q.rows()));
  for (std::size_t c = 0; c < x.size(); ++c) x[c] = static_cast<float>(c % 7) - 3.0F;
  sinq::matvec(q, x, y);
  sum.add(std::as_bytes(std::span<const float>(y)));
#ifdef EVERY_METHOD
  const bool has_panels = sinq::can_repack(q.layout());
  if (!has_panels) return;
  sinq::matvec(sinq::repack(q), x, y, sinq::Precision::kInt8);
  sum.add(std::as_bytes(std::span<const float>(y)));
#endif
}

}  // namespace

// Prints the same from the headers alone and with sinq::compiled; the test compares, with EVERY_METHOD.
int main() {
  sinq::RowMatrix w(32, 128);
  std::uint32_t random = 1;
  for (Eigen::Index i = 0; i < w.size(); ++i) {
    random = random * 1664525U + 1013904223U;
    w.data()[i] = static_cast<float>(random >> 8) * 0x1p-23F - 1.0F;
  }
  const sinq::QuantizedMatrix q = sinq::quantize(w);
  const sinq::ErrorReport error = sinq::measure_error(w, q);
  Checksum sum;
  add(sum, q);
#ifdef EVERY_METHOD
  add(sum, sinq::quantize(w, sinq::Config<sinq::Hqq>{}));
  for (const double budget : {1.9, 2.9, 4.7}) {
    add(sum, sinq::quantize(w, sinq::presets::accurate({.max_bits_per_weight = budget}, 32, 128)));
  }
#endif
  std::printf("sinq %d.%d.%d: relative error %.4f at %.2f bits per weight, checksum %llx\n", SINQ_VERSION_MAJOR,
              SINQ_VERSION_MINOR, SINQ_VERSION_PATCH, error.relative_frobenius, error.bits_per_weight, sum.value());
#ifdef MUST_BE_COMPILED
  if (SINQ_COMPILED == 0) return 2;
#endif
  return error.relative_frobenius > 0.0 && error.relative_frobenius < 0.1 ? 0 : 1;
}
