// A factor that moves from what makes a layer's inputs into the columns that read them changes no function, and a
// quantizer that balances columns should hardly notice.
#include <sinq/dequantize.hpp>
#include <sinq/fold/folded_matrix.hpp>
#include <sinq/fold/random_factors.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/trellis.hpp>

#include "support/generators.hpp"
#include "support/matrix_view.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Config;
using sinq::Index;
using sinq::MatrixView;
using sinq::QuantizedMatrix;
using sinq::test::TestMatrix;
using sinq::test::view;

constexpr Index kRows = 320, kChannels = 512;

/// Sum of squares of W x, the mean over independent inputs of these sizes.
double output_square(const std::vector<float>& w, const std::vector<double>& input) {
  double sum = 0.0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double y = static_cast<double>(w[i]) * input[i % input.size()];
    sum += y * y;
  }
  return sum;
}

using Quantize = std::function<QuantizedMatrix(const MatrixView&)>;

template <class C>
Quantize with(const C& config) {
  return [config](const MatrixView& w) { return quantize(w, config); };
}

/// Error of the outputs over the outputs, of a norm's consumer under `factors`; null: as it is.
double relative_error(const TestMatrix& w, const sinq::fold::FactorMap& factors, const Quantize& quantize) {
  const sinq::fold::FoldedMatrix folded(view(w), factors.find("w"));
  const sinq::fold::Factors* norm = factors.find("norm");
  const std::vector<double> input = norm == nullptr ? std::vector<double>(kChannels, 1.0) : norm->rows;
  std::vector<float> weights(w.values.size()), decoded(w.values.size());
  sinq::detail::read_rect(folded.view(), {0, 0, kRows, kChannels}, weights.data(), kChannels);
  const QuantizedMatrix q = quantize(folded.view());
  sinq::dequantize_into(q, decoded);
  const double all = output_square(weights, input);
  for (std::size_t i = 0; i < decoded.size(); ++i) decoded[i] -= weights[i];
  return std::sqrt(output_square(decoded, input) / all);
}

/// The error with factors moved in, over that without.
double growth(const Quantize& quantize) {
  const TestMatrix w = sinq::test::generators::gaussian(kRows, kChannels, 3);
  const sinq::fold::Plan plan =
      sinq::fold::make_plan({{.channels = kChannels, .producers = {{"norm"}}, .consumers = {{"w"}}}},
                            std::vector<sinq::fold::TensorShape>{{"norm", {kChannels}}, {"w", {kRows, kChannels}}});
  const sinq::fold::FactorMap moved = random_factors(plan, {.seed = 1});
  return relative_error(w, moved, quantize) / relative_error(w, {}, quantize);
}

TEST(MovedFactors, HardlyMatterToWhatBalancesColumns) {
  for (const int bits : {4, 3}) {
    for (const auto& [name, quantize] : std::vector<std::pair<std::string, Quantize>>{
             {"sinq", with(Config<>{.quantizer = {.bits = bits}})},
             {"fitted", with(Config<sinq::Fitted>{.quantizer = {.bits = bits}})},
             {"learned levels", with(Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(bits)})},
             {"trellis", with(Config<sinq::Trellis>{.quantizer = sinq::Trellis::fast(bits)})},
         }) {
      EXPECT_LT(growth(quantize), 1.15) << name << ", " << bits << " bits";
    }
  }
}

TEST(MovedFactors, RuinPlainRounding) {
  for (const int bits : {4, 3}) {
    EXPECT_GT(growth(with(Config<sinq::Uniform, sinq::Identity>{.quantizer = {.bits = bits}})), 5.0) << bits << " bits";
  }
}

}  // namespace
