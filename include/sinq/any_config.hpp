#pragma once

#include <sinq/compiled.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/hqq.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/trellis.hpp>
#include <sinq/quantizers/uniform.hpp>

#include <concepts>
#include <variant>

namespace sinq::inline SINQ_ABI {
namespace detail {

template <class... Q>
using ConfigsOf = std::variant<Config<Q, Sinkhorn>..., Config<Q, Identity>...>;

}  // namespace detail

/// A configuration that is chosen at run time, from a command line for instance: any built-in quantizer, with column
/// scales or without.
using AnyConfig = detail::ConfigsOf<Uniform, Hqq, Codebook, Fitted, LearnedCodebook, Trellis>;

/// As for the configuration that it holds. (Templates, so that `{}` stays a `Config<>`.)
template <std::same_as<AnyConfig> Any>
void validate(const Any& config) {
  std::visit([](const auto& c) { validate(c); }, config);
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] Layout layout_for(const Any& config, Index rows, Index cols) {
  return std::visit([&](const auto& c) { return layout_for(c, rows, cols); }, config);
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] Layout layout_for(const MatrixView& w, const Any& config) {
  return std::visit([&](const auto& c) { return layout_for(w, c); }, config);
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] Index required_bytes(const Any& config, Index rows, Index cols) {
  return std::visit([&](const auto& c) { return required_bytes(c, rows, cols); }, config);
}

namespace detail {

/// With the configuration that `config` holds. Templates, so that only files that call them pay for all quantizers.
template <std::same_as<AnyConfig> Any>
[[nodiscard]] QuantizedView quantize_any_into(const MatrixView& w, const Any& config, std::span<std::byte> out,
                                              const QuantizeOptions& options, const ExecutorRef& executor);
template <std::same_as<AnyConfig> Any>
[[nodiscard]] QuantizedMatrix quantize_any(const MatrixView& w, const Any& config, const QuantizeOptions& options,
                                           const ExecutorRef& executor);

}  // namespace detail

template <std::same_as<AnyConfig> Any, Executor E = Serial>
QuantizedView quantize_into(const MatrixView& w, const Any& config, std::span<std::byte> out,
                            const QuantizeOptions& options = {}, const E& executor = {}) {
  return detail::quantize_any_into(w, config, out, options, detail::ExecutorRef(executor));
}

template <std::same_as<AnyConfig> Any, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize(const MatrixView& w, const Any& config, const QuantizeOptions& options = {},
                                       const E& executor = {}) {
  return detail::quantize_any(w, config, options, detail::ExecutorRef(executor));
}

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(SEARCH)
namespace sinq::inline SINQ_ABI::detail {

template <std::same_as<AnyConfig> Any>
QuantizedView quantize_any_into(const MatrixView& w, const Any& config, std::span<std::byte> out,
                                const QuantizeOptions& options, const ExecutorRef& executor) {
  return std::visit([&](const auto& c) { return sinq::quantize_into(w, c, out, options, executor); }, config);
}

template <std::same_as<AnyConfig> Any>
QuantizedMatrix quantize_any(const MatrixView& w, const Any& config, const QuantizeOptions& options,
                             const ExecutorRef& executor) {
  return std::visit([&](const auto& c) { return sinq::quantize(w, c, options, executor); }, config);
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
