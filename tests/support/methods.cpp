#include "methods.hpp"

#include <sinq/parallel/thread_pool.hpp>

#include "with_quantizer.hpp"

namespace sinq::test {
namespace {

template <class Q, class N>
Config<Q, N> config_of(const Method& method, const Q& quantizer, const N& normalizer) {
  Config<Q, N> config;
  config.quantizer = quantizer;
  config.normalizer = normalizer;
  config.group_size = method.group_size;
  config.tile_cols = method.tile_cols;
  config.tiling = method.tiling;
  config.aux = method.aux;
  if (method.semantics == Semantics::kReference) config = reference_compatible(config);
  if constexpr (std::is_same_v<N, Sinkhorn>) {
    if (method.semantics == Semantics::kUnguarded) config.normalizer.degenerate = DegenerateTiles::kAsReference;
  }
  config.ragged = method.ragged;
  config.kurtosis_gate = method.kurtosis_gate;
  return config;
}

template <class F>
decltype(auto) with_config(const Method& method, F&& f) {
  return with_quantizer(method.rounding, method.bits, [&](const auto& quantizer) {
    return method.balance == Balance::kSinkhorn ? f(config_of(method, quantizer, Sinkhorn{}))
                                                : f(config_of(method, quantizer, Identity{}));
  });
}

}  // namespace

std::string describe(const Method& m) {
  static constexpr const char* kNames[] = {"uniform",      "noz",       "nf4", "nf3",    "hqq",
                                           "real_uniform", "symmetric", "fp4", "ternary"};
  return sinq::detail::text(kNames[static_cast<int>(m.rounding)], " ", m.bits, " bits, ",
                            m.balance == Balance::kSinkhorn ? "Sinkhorn" : "Identity", ", group ", m.group_size,
                            ", tile ", m.tile_cols, m.tiling == Tiling::kSquare ? ", squares" : ", strips", ", aux ",
                            static_cast<int>(m.aux), ", semantics ", static_cast<int>(m.semantics));
}

QuantizedMatrix quantize_with(const Method& method, const MatrixView& w, const QuantizeOptions& options,
                              Index threads) {
  return with_config(method, [&](const auto& config) {
    if (threads == 1) return quantize(w, config, options);
    return quantize(w, config, options, ThreadPool(threads));
  });
}

Index required_bytes_with(const Method& method, Index rows, Index cols) {
  return with_config(method, [&](const auto& config) { return required_bytes(config, rows, cols); });
}

QuantizedView quantize_into_with(const Method& method, const MatrixView& w, std::span<std::byte> out,
                                 const QuantizeOptions& options) {
  return with_config(method, [&](const auto& config) { return quantize_into(w, config, out, options); });
}

}  // namespace sinq::test
