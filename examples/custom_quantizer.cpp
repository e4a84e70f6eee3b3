// A group quantizer of one's own: ternary weights as in "Ternary Weight Networks" (Li and Liu, 2016). It is a plain
// struct; normalization, storage, decoding and error measurement come from the library.
#include <sinq/io.hpp>
#include <sinq/sinq.hpp>

#include "common/command_line.hpp"
#include "common/named_error.hpp"

#include <CLI/CLI.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>

namespace my {

struct Ternary {
  /// Two bits hold four levels; a repeated last one stays unused.
  static constexpr std::array<float, 4> kLevels{-1.0F, 0.0F, 1.0F, 1.0F};

  void validate() const {}  // no settings, nothing to refuse
  sinq::CodeFormat format() const {
    return {.bits = 2, .symmetry = sinq::Symmetry::kSymmetric, .shared_zero_point = 0.0F, .levels = kLevels};
  }
  /// The mean magnitude of the weights beyond 0.7 times the mean magnitude of all; codes are then the nearest levels.
  sinq::GroupFit fit(std::span<const float> group) const {
    float sum = 0.0F;
    for (const float w : group) sum += std::fabs(w);
    const float threshold = 0.7F * sum / static_cast<float>(group.size());
    float large = 0.0F;
    int count = 0;
    for (const float w : group) {
      if (std::fabs(w) > threshold) {
        large += std::fabs(w);
        ++count;
      }
    }
    return {.scale = count == 0 ? 0.0F : large / static_cast<float>(count), .zero_point = 0.0F};
  }
};
static_assert(sinq::GroupQuantizer<Ternary>);

}  // namespace my

int main(int argc, char** argv) {
  CLI::App app("Quantizes one matrix with a quantizer of one's own, and with the library's", "custom_quantizer");
  std::string path, name;
  app.add_option("FILE", path, "a safetensors file")->required();
  app.add_option("TENSOR", name, "the name of a matrix in it")->required();
  return common::run_main(app, argc, argv, [&] {
    const auto file = sinq::io::Checkpoint::of_file(sinq::io::SafetensorsFile::open(path));
    const auto& tensor = file.at(name);
    const sinq::MatrixView w = tensor.matrix_view();
    const auto show = [&](const char* method, const sinq::QuantizedMatrix& q) {
      const sinq::ErrorReport error = sinq::measure_error(w, q);
      std::printf("%-26s %.2f bits per weight, relative error %.4f\n", method, error.bits_per_weight,
                  error.relative_frobenius);
    };
    common::with_tensor_name(tensor, [&] {
      show("own ternary", sinq::quantize(w, sinq::Config<my::Ternary, sinq::Identity>{}));
      show("own ternary, normalized", sinq::quantize(w, sinq::Config<my::Ternary>{}));
      show("library's, normalized",
           sinq::quantize(w, sinq::Config<sinq::Codebook>{.quantizer = sinq::codebooks::kTernary}));
    });
  });
}
