// Speed of ggml's block formats: rows of floats to blocks and back. README.md explains names and counters.
#include <sinq/block_formats/block_format.hpp>

#include "shapes.hpp"
#include "support/timing.hpp"
#include "support/weights.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace sinq;
using namespace sinq::bench;
using benchmark::State;

/// Rows of weights, their blocks, and what those decode to.
class BlockMatrix {
 public:
  BlockMatrix(BlockFormat format, Shape shape, Isa isa)
      : format_(format), isa_(isa), shape_(shape), row_bytes_(row_bytes(format, shape.cols)) {
    weights_ = static_cast<const float*>(weights().view(shape, ScalarType::kF32).data);
    blocks_.resize(static_cast<std::size_t>(shape.rows * row_bytes_));
    decoded_.resize(static_cast<std::size_t>(shape.weights()));
  }

  void encode() {
    for (Index r = 0; r < shape_.rows; ++r) {
      encode_row(format_, {weights_ + r * shape_.cols, static_cast<std::size_t>(shape_.cols)}, {}, row(r), isa_);
    }
  }
  void decode() {
    for (Index r = 0; r < shape_.rows; ++r) decode_row(format_, row(r), decoded_.data() + r * shape_.cols);
  }
  /// ||w' - w|| / ||w|| of what was decoded last.
  [[nodiscard]] double error() const {
    double error = 0.0, all = 0.0;
    for (std::size_t i = 0; i < decoded_.size(); ++i) {
      const double w = static_cast<double>(weights_[i]), d = static_cast<double>(decoded_[i]) - w;
      error += d * d;
      all += w * w;
    }
    return std::sqrt(error / all);
  }

 private:
  [[nodiscard]] std::span<std::byte> row(Index r) {
    return {blocks_.data() + r * row_bytes_, static_cast<std::size_t>(row_bytes_)};
  }

  BlockFormat format_;
  Isa isa_;
  Shape shape_;
  Index row_bytes_;
  const float* weights_;
  std::vector<std::byte> blocks_;
  std::vector<float> decoded_;
};

enum class Direction { kEncode, kDecode };

void run(State& state, BlockFormat format, Direction direction, Shape shape, Isa isa) {
  BlockMatrix matrix(format, shape, isa);
  matrix.encode();
  matrix.decode();
  const double bits = 8.0 * static_cast<double>(block_bytes(format)) / static_cast<double>(block_size(format));
  const double error = matrix.error();
  // Measured: 0.45 to 0.8 of this.
  if (!(error < std::exp2(1.5 - bits))) return state.SkipWithError("wrong result: the error does not suit the bits");
  Fastest fastest;
  for (auto _ : state) {
    fastest.measure(Clock::kThread, [&] { direction == Direction::kEncode ? matrix.encode() : matrix.decode(); });
  }
  state.counters["weights_per_second"] = static_cast<double>(shape.weights()) / fastest.value();
  state.counters["bits_per_weight"] = bits;
  state.counters["weight_error"] = error;
  state.SetLabel(std::string(name(resolve(isa))));
}

void add(BlockFormat format, Direction direction, Shape shape, Isa isa, std::string_view ending) {
  const std::string title = "block_formats/" + std::string(name(format)) + "/" +
                            (direction == Direction::kEncode ? "encode" : "decode") + std::string(ending) +
                            "/rows:" + std::to_string(shape.rows) + "/cols:" + std::to_string(shape.cols);
  benchmark::RegisterBenchmark(title.c_str(), [=](State& state) {
    run(state, format, direction, shape, isa);
  })->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr Shape kShape{256, 4096};
  for (const BlockFormat format : kBlockFormats) {
    add(format, Direction::kEncode, kShape, Isa::kBest, "");
    add(format, Direction::kDecode, kShape, Isa::kBest, "");
    if (resolve(Isa::kBest) > Isa::kAvx2) add(format, Direction::kEncode, kShape, Isa::kAvx2, "_avx2");
    add(format, Direction::kEncode, kShape, Isa::kPortable, "_portable");
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
