// The whole use of the library in ten lines.
#include <sinq/sinq.hpp>

#include "common/command_line.hpp"

#include <cstdio>

namespace {

void ten_lines() {
  sinq::RowMatrix w = sinq::RowMatrix::Random(256, 512);  // or an Eigen::Map of your engine's weights
  w.col(7) *= 20.0F;                                      // an outlier column, as transformers have them

  const sinq::QuantizedMatrix q = sinq::quantize(w);  // 4 bits, groups of 64, Sinkhorn-normalized
  const sinq::ErrorReport error = sinq::measure_error(w, q);
  const sinq::RowMatrix back = sinq::dequantize(q);

  std::printf("%.2f bits per weight, relative error %.4f, imbalance %.1f -> %.1f\n", error.bits_per_weight,
              error.relative_frobenius, error.imbalance_before, error.imbalance_after);
  std::printf("w(3, 7) = %.4f is now %.4f\n", static_cast<double>(w(3, 7)), static_cast<double>(back(3, 7)));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The whole use of the library in ten lines, on a random matrix", "quantize_matrix");
  return common::run_main(app, argc, argv, ten_lines);
}
