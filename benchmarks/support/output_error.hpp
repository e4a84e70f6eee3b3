#pragma once

#include <sinq/fold/random_factors.hpp>
#include <sinq/sinq.hpp>

#include <cmath>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace sinq::bench {

/// A layer whose product everybody knows: a Gaussian matrix and independent Gaussian inputs.
struct GaussianLayer {
  static constexpr Index kRows = 1024, kCols = 1024;

  std::vector<float> weights;         ///< [kRows, kCols]
  std::vector<double> input_squares;  ///< [kCols], mean squares of the inputs

  [[nodiscard]] MatrixView view() const noexcept { return MatrixView::row_major(weights.data(), kRows, kCols); }

  /// ||W' x - W x|| / ||W x|| to expect: inputs are independent, so that the squares of columns' errors add up.
  [[nodiscard]] double output_error(std::span<const float> decoded) const {
    double error = 0.0, square = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const auto w = static_cast<double>(weights[i]), d = static_cast<double>(decoded[i]) - w;
      const double input = input_squares[i % kCols];
      error += input * d * d;
      square += input * w * w;
    }
    return std::sqrt(error / square);
  }
  [[nodiscard]] double output_error(const QuantizedMatrix& q) const {
    std::vector<float> decoded(weights.size());
    dequantize_into(q, decoded);
    return output_error(decoded);
  }
};

/// All columns alike, and all inputs.
[[nodiscard]] inline const GaussianLayer& plain_layer() {
  static const GaussianLayer layer = [] {
    GaussianLayer out{std::vector<float>(GaussianLayer::kRows * GaussianLayer::kCols),
                      std::vector<double>(GaussianLayer::kCols, 1.0)};
    fold::detail::NormalNumbers random(1);
    for (float& w : out.weights) w = 0.02F * static_cast<float>(random.normal());
    return out;
  }();
  return layer;
}

/// The same product, factors moved from the inputs into the columns: those of `fold::random_factors`, log-normal with
/// sigma 0.7, one in a hundred times 8.
[[nodiscard]] inline const GaussianLayer& moved_layer() {
  static const GaussianLayer layer = [] {
    GaussianLayer out = plain_layer();
    const fold::RandomFactorOptions options{.seed = 1};
    fold::detail::NormalNumbers random(options.seed);
    for (std::size_t c = 0; c < out.input_squares.size(); ++c) {
      const double factor = 1.0 / fold::detail::random_factor(random, options);
      out.input_squares[c] /= factor * factor;
      for (std::size_t i = c; i < out.weights.size(); i += out.input_squares.size()) {
        out.weights[i] *= static_cast<float>(factor);
      }
    }
    return out;
  }();
  return layer;
}

/// Output error of RTN on `layer`; between whole bits on the line through their logarithms.
[[nodiscard]] inline double rtn_output_error(const GaussianLayer& layer, double bits, Index group_size) {
  static std::map<std::pair<const GaussianLayer*, std::pair<int, Index>>, double> known;
  const auto of = [&](int whole) {
    double& error = known[{&layer, {whole, group_size}}];
    if (error == 0.0) {
      const Config<Uniform, Identity> rtn{.quantizer = {.bits = whole}, .group_size = group_size};
      error = layer.output_error(quantize(layer.view(), rtn));
    }
    return error;
  };
  const int below = static_cast<int>(std::floor(bits));
  const double part = bits - below;
  return part == 0.0 ? of(below) : std::pow(of(below), 1.0 - part) * std::pow(of(below + 1), part);
}

/// Bits of codes for each weight.
[[nodiscard]] inline double code_bits(const CodeFormat& format) {
  return format.quarter_bits != 0 ? 0.25 * format.quarter_bits : format.bits;
}

}  // namespace sinq::bench
