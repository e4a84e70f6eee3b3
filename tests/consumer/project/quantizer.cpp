#include <sinq/sinq.hpp>
#ifdef WITH_IO
#include <sinq/io.hpp>
#endif

#include <cstdio>

int main() {
  const sinq::RowMatrix w = sinq::RowMatrix::Random(32, 128);
  const sinq::QuantizedMatrix q = sinq::quantize(w);
  const sinq::ErrorReport error = sinq::measure_error(w, q);
  std::printf("sinq %d.%d.%d: relative error %.4f at %.2f bits per weight\n", SINQ_VERSION_MAJOR, SINQ_VERSION_MINOR,
              SINQ_VERSION_PATCH, error.relative_frobenius, error.bits_per_weight);
  return error.relative_frobenius > 0.0 && error.relative_frobenius < 0.1 ? 0 : 1;
}
