#pragma once

#include <sinq/config.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>
#include <sinq/quantizers/ternary.hpp>

#include "llm/settings.hpp"

#include <string>
#include <utility>

namespace llm {

/// From names to types: calls `f` with the `sinq::Config` that `settings` describes.
/// Throws kBadConfig for flags that contradict each other.
template <class F>
decltype(auto) with_config(const QuantizeSettings& settings, F&& f);

namespace detail {

template <class Config, class F>
decltype(auto) filled(const QuantizeSettings& settings, Config config, F&& f) {
  config.group_size = settings.group_size;
  config.tile_cols = settings.tile_cols;
  config.tiling = settings.tiling;
  if constexpr (requires { config.normalizer.iterations; }) {
    if (settings.iterations) config.normalizer.iterations = *settings.iterations;
  } else if (settings.iterations) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--iterations belongs to --normalizer sinkhorn");
  }
  if (settings.semantics == Semantics::kReference) config = sinq::reference_compatible(config);
  if (settings.aux) config.aux = *settings.aux;
  if (settings.kurtosis_gate) config.kurtosis_gate = *settings.kurtosis_gate;
  if (settings.zero_point && settings.quantizer != QuantizerName::kUniform) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--zero-point belongs to --quantizer uniform");
  }
  if constexpr (requires { config.quantizer.zero_point; }) {
    if (settings.zero_point) config.quantizer.zero_point = *settings.zero_point;
  }
  return f(std::as_const(config));
}

template <class Quantizer, class F>
decltype(auto) with_quantizer(const QuantizeSettings& settings, const Quantizer& quantizer, F&& f) {
  if (settings.normalizer == NormalizerName::kNone) {
    return filled(settings, sinq::Config<Quantizer, sinq::Identity>{.quantizer = quantizer}, f);
  }
  return filled(settings, sinq::Config<Quantizer, sinq::Sinkhorn>{.quantizer = quantizer}, f);
}

/// `codebook`, if the bits asked for are its own.
inline const sinq::Codebook& of_bits(const QuantizeSettings& settings, const sinq::Codebook& codebook) {
  if (settings.bits && *settings.bits != codebook.bits()) {
    throw sinq::Error(sinq::Errc::kBadConfig, "--bits " + std::to_string(*settings.bits) + ": this codebook has " +
                                                  std::to_string(codebook.bits()));
  }
  return codebook;
}

}  // namespace detail

template <class F>
decltype(auto) with_config(const QuantizeSettings& settings, F&& f) {
  const int bits = settings.bits.value_or(sinq::Config<>{}.quantizer.bits);
  switch (settings.quantizer) {
    case QuantizerName::kSymmetric:
      return detail::with_quantizer(settings, sinq::Uniform{.bits = bits, .symmetry = sinq::Symmetry::kSymmetric}, f);
    case QuantizerName::kHqq:
      return detail::with_quantizer(settings, sinq::Hqq{.bits = bits}, f);
    case QuantizerName::kFitted:
      return detail::with_quantizer(settings, sinq::Fitted{.bits = bits}, f);
    case QuantizerName::kLearned:
      return detail::with_quantizer(settings, sinq::LearnedCodebook(bits), f);
    case QuantizerName::kNf4:
      return detail::with_quantizer(settings, detail::of_bits(settings, sinq::codebooks::kNf4), f);
    case QuantizerName::kNf3:
      return detail::with_quantizer(settings, detail::of_bits(settings, sinq::codebooks::kNf3), f);
    case QuantizerName::kFp4:
      return detail::with_quantizer(settings, detail::of_bits(settings, sinq::codebooks::kFp4), f);
    case QuantizerName::kTernary:
      return detail::with_quantizer(settings, detail::of_bits(settings, sinq::codebooks::kTernary), f);
    case QuantizerName::kUniform:
      break;
  }
  return detail::with_quantizer(settings, sinq::Uniform{.bits = bits}, f);
}

}  // namespace llm
