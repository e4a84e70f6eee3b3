// Quantizes, decodes, multiplies and stores a matrix: compiled in every dialect of CMakeLists.txt.
#include <sinq/calibration.hpp>
#include <sinq/fold.hpp>
#include <sinq/io.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

int main() {
  constexpr sinq::Index kRows = 48, kCols = 200;
  std::vector<float> weights(kRows * kCols), decoded(weights.size()), x(kCols, 1.0F), y(kRows);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i * i % 1009));
  const auto w = sinq::MatrixView::row_major(weights.data(), kRows, kCols);
  const sinq::QuantizedMatrix q = sinq::quantize(w, {.tile_cols = 64}, {}, sinq::ThreadPool(2));
  sinq::dequantize_into(q, decoded);
  const sinq::RepackedMatrix repacked = sinq::repack(q);
  sinq::matvec(repacked, x, y);
  double difference = 0.0, largest = 0.0;
  for (sinq::Index r = 0; r < kRows; ++r) {
    double exact = 0.0;
    for (sinq::Index c = 0; c < kCols; ++c)
      exact += static_cast<double>(decoded[static_cast<std::size_t>(r * kCols + c)]);
    difference = std::max(difference, std::fabs(exact - static_cast<double>(y[static_cast<std::size_t>(r)])));
    largest = std::max(largest, std::fabs(exact));
  }
  const double error = sinq::measure_error(w, q).relative_frobenius;
  std::vector<sinq::io::TensorInfo> tensors = sinq::io::quantized_tensor_infos("w", q.layout());
  const std::string file = sinq::io::safetensors_header_bytes(tensors);
  std::printf("%d-bit pointers: relative error %.4f, products off by %.2g of %.2g, header of %zu bytes\n",
              static_cast<int>(8 * sizeof(void*)), error, difference, largest, file.size());
  return error > 0.0 && error < 0.1 && difference < 1e-3 * largest ? 0 : 1;
}
