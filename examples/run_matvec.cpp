// Multiplying from packed codes: repack once, prepare each vector once, split the rows over your threads.
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include "common/command_line.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace {

/// Seconds of the fastest of some calls.
template <class F>
double fastest(F&& call) {
  double best = 1e9;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void multiply_packed() {
  constexpr sinq::Index kRows = 2048, kCols = 2048;
  const sinq::RowMatrix w = sinq::RowMatrix::Random(kRows, kCols);
  const Eigen::VectorXf x = Eigen::VectorXf::Random(kCols);

  const sinq::QuantizedMatrix q = sinq::quantize(w);
  const sinq::RepackedMatrix packed = sinq::repack(q);  // rows interleaved: what the kernels stream fastest
  const Eigen::VectorXf expected = sinq::dequantize(q) * x;

  // The engine's loop: scratch is kept, threads are its own, the kernel allocates nothing.
  const sinq::ThreadPool pool(2);
  sinq::ScaledInput input;
  std::vector<float> y(kRows);
  constexpr sinq::Index kShare = 256;  // rows of one task; any split gives the same bits
  const auto multiply = [&](sinq::Precision precision) {
    input.assign(packed, x, precision);  // column scales and, if asked, quantization: once per vector and matrix
    pool.run(kRows / kShare, [&](sinq::Index share, sinq::Index /*worker*/) {
      sinq::matvec(packed, input, {share * kShare, (share + 1) * kShare}, y);
    });
  };

  struct Row {
    sinq::Precision precision;
    const char* name;
  };
  for (const Row& row : {Row{sinq::Precision::kFloat, "float"}, Row{sinq::Precision::kInt15, "int15"},
                         Row{sinq::Precision::kInt8, "int8"}}) {
    const double seconds = fastest([&] { multiply(row.precision); });
    const float error = (Eigen::Map<const Eigen::VectorXf>(y.data(), kRows) - expected).norm() / expected.norm();
    std::printf("%-6s relative error %.1e, %5.1f G weights/s\n", row.name, static_cast<double>(error),
                1e-9 * static_cast<double>(kRows * kCols) / seconds);
  }
  Eigen::VectorXf dense(kRows);
  const double seconds = fastest([&] { dense.noalias() = w * x; });
  std::printf("Eigen, float32 weights, one thread: %.1f G weights/s\n",
              1e-9 * static_cast<double>(kRows * kCols) / seconds);

  // Without an engine, one line.
  sinq::matvec(packed, x, y);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("y = W x from packed codes: repack once, prepare each vector once, split the rows over threads",
               "run_matvec");
  return common::run_main(app, argc, argv, multiply_packed);
}
