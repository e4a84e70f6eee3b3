#pragma once

#include <sinq/compiled.hpp>
#include <sinq/config.hpp>
#include <sinq/detail/executor_ref.hpp>
#include <sinq/detail/normalizer_ref.hpp>
#include <sinq/detail/quantizer_ref.hpp>
#include <sinq/executor.hpp>
#include <sinq/finite.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/progress.hpp>
#include <sinq/quantize_report.hpp>
#include <sinq/quantized_matrix.hpp>

namespace sinq::inline SINQ_ABI {

/// How one call runs, and what is known beside the matrix.
struct QuantizeOptions {
  Isa isa = Isa::kBest;  ///< limit; see Isa. Changes the result within rounding only
  /// [cols] what an error in each column costs, such as the mean square of its input; positive, in any unit: only the
  /// ratios matter. Quantizers that search (Fitted, LearnedCodebook, Trellis) weigh by it; empty: by 1
  /// / col_scale^2.
  std::span<const float> col_importance = {};
  ProgressCallback progress = {};    ///< empty: none
  QuantizeReport* report = nullptr;  ///< filled if not null
};

namespace detail {

/// The layout of a validated method.
[[nodiscard]] inline Layout layout_for(const Method& method, Index rows, Index cols) {
  if (rows < 1 || cols < 1) {
    SINQ_THROW(Errc::kBadShape, text("quantize: the matrix is ", rows, " x ", cols, "; it must not be empty"));
  }
  const Index group_size = effective_group_size(method, cols);
  const Index tile_width = tile_cols(method, group_size);
  if (method.tiling == Tiling::kSquare && method.ragged == RaggedTile::kHalve && rows % tile_width != 0) {
    refuse_config("tile_cols ", tile_width, " does not divide rows ", rows,
                  ", which square tiles with RaggedTile::kHalve need");
  }
  const Layout layout =
      with_format({.rows = rows,
                   .cols = cols,
                   .group_size = group_size,
                   .row_block = method.tiling == Tiling::kSquare ? std::min(tile_width, rows) : rows,
                   .aux = method.aux,
                   .col_scale = method.col_scale == ColScaleUse::kUsed ? ColScaleKind::kStored : ColScaleKind::kNone},
                  method.format);
  sinq::validate(layout);
  return layout;
}

/// What a gated matrix gets instead, as in the reference: plain round-to-nearest of the same bits.
[[nodiscard]] inline Uniform gated_quantizer(const Method& method) {
  const bool reference = method.codes_against == CodesAgainst::kFitted;
  return {.bits = method.format.bits,
          .zero_point = reference ? ZeroPoint::kInteger : ZeroPoint::kReal,
          .division = reference ? Division::kExact : Division::kReciprocal};
}
[[nodiscard]] inline Method gated_method(Method method, const Uniform& quantizer) {
  method.format = quantizer.format();
  method.col_scale = ColScaleUse::kUnused;
  method.kurtosis_gate = 0.0F;
  return method;
}
[[nodiscard]] inline Layout gated_layout(const Method& method, Index rows, Index cols) {
  const Uniform quantizer = gated_quantizer(method);
  quantizer.validate();
  return layout_for(gated_method(method, quantizer), rows, cols);
}

/// Whether the matrix's kurtosis is above the method's gate.
[[nodiscard]] SINQ_DECL bool gate_fires(const MatrixView& w, const Method& method);

/// One call of `quantize`, its types erased: what follows is compiled once for all of them.
struct QuantizeCall {
  /// Fills memory that the layout fits; returns the layout with its matrix_scale.
  using Pipeline = Layout (*)(const QuantizeCall&, const Layout&, std::span<std::byte>);

  const MatrixView& w;
  Method method;
  QuantizerRef quantizer;
  NormalizerRef normalizer;
  const QuantizeOptions& options;
  ExecutorRef executor;
  Pipeline pipeline;
};

/// The pipeline of quantizers that code tiles.
[[nodiscard]] SINQ_DECL Layout run_tiles(const QuantizeCall& call, const Layout& layout, std::span<std::byte> out);
/// The pipeline of an encoder that codes panels: compiled only where there is one.
template <class Encoder>
[[nodiscard]] Layout run_panels(const QuantizeCall& call, const Layout& layout, std::span<std::byte> out);

/// `quantizer` is what `as_runnable` made of that of the configuration.
template <class Q, class N, class R>
[[nodiscard]] QuantizeCall call_of(const MatrixView& w, const Config<Q, N>& config, R& quantizer,
                                   const QuantizeOptions& options, const ExecutorRef& executor) {
  QuantizeCall call{
      w, method_of(config), QuantizerRef(quantizer), NormalizerRef(config.normalizer), options, executor, nullptr};
  if constexpr (PanelQuantizer<Q>) {
    call.pipeline = &run_panels<R>;
  } else {
    call.pipeline = &run_tiles;
  }
  return call;
}

[[nodiscard]] SINQ_DECL QuantizedView quantize_into(const QuantizeCall& call, std::span<std::byte> out);
[[nodiscard]] SINQ_DECL QuantizedMatrix quantize(const QuantizeCall& call);

}  // namespace detail

/// The layout that `config` gives a matrix [rows, cols]; matrix_scale is filled by `quantize`.
/// Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Layout layout_for(const Config<Q, N>& config, Index rows, Index cols) {
  validate(config);
  return detail::layout_for(detail::method_of(config), rows, cols);
}

/// The layout that `quantize` gives `w` itself: the above, or that of plain rounding if `config` has a kurtosis gate
/// and it fires, for which the whole matrix is read. Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Layout layout_for(const MatrixView& w, const Config<Q, N>& config) {
  const Layout layout = layout_for(config, w.rows, w.cols);
  detail::require_readable("quantize", w);
  const detail::Method method = detail::method_of(config);
  return detail::gate_fires(w, method) ? detail::gated_layout(method, w.rows, w.cols) : layout;
}

/// Bytes that `quantize_into` needs for a matrix [rows, cols]. Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Index required_bytes(const Config<Q, N>& config, Index rows, Index cols) {
  const Index bytes = storage_bytes(layout_for(config, rows, cols));
  if (!(config.kurtosis_gate > 0.0F)) return bytes;
  return std::max(bytes, storage_bytes(detail::gated_layout(detail::method_of(config), rows, cols)));
}

/// Quantizes `w` into memory of the caller, `required_bytes` of it, aligned to 64 bytes; the view reads from there.
/// Safe to call from several threads on different buffers. Memory beyond input and output: one tile per thread, and
/// less than 64 bytes of codes per row of it.
/// Throws Errc::kBadConfig, kBadShape, kBadData (NaN, Inf, beyond float32: with row, column and value), kCancelled.
template <class Q, class N, Executor E = Serial>
QuantizedView quantize_into(const MatrixView& w, const Config<Q, N>& config, std::span<std::byte> out,
                            const QuantizeOptions& options = {}, const E& executor = {}) {
  validate(config);
  auto quantizer = detail::as_runnable(config.quantizer);
  return detail::quantize_into(detail::call_of(w, config, quantizer, options, detail::ExecutorRef(executor)), out);
}

namespace detail {

template <class Q, class N, Executor E>
[[nodiscard]] QuantizedMatrix quantize_to_memory(const MatrixView& w, const Config<Q, N>& config,
                                                 const QuantizeOptions& options, const E& executor) {
  sinq::validate(config);
  auto quantizer = as_runnable(config.quantizer);
  return quantize(call_of(w, config, quantizer, options, ExecutorRef(executor)));
}

}  // namespace detail

/// Quantizes `w` [rows, cols]. The same bytes on every call and for every number of threads. Throws as `quantize_into`.
template <class Q, class N, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize(const MatrixView& w, const Config<Q, N>& config,
                                       const QuantizeOptions& options = {}, const E& executor = {}) {
  return detail::quantize_to_memory(w, config, options, executor);
}

/// The default method: 4 bits, groups of 64, Sinkhorn-normalized. `quantize(w, {.group_size = 128})` works too.
template <Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize(const MatrixView& w, const Config<>& config = {},
                                       const QuantizeOptions& options = {}, const E& executor = {}) {
  return detail::quantize_to_memory(w, config, options, executor);
}

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(QUANTIZE)
#include <sinq/detail/progress.hpp>
#include <sinq/detail/tile_pipeline.hpp>

namespace sinq::inline SINQ_ABI::detail {

inline void check_importance(std::span<const float> importance, Index cols) {
  if (importance.empty()) return;
  if (static_cast<Index>(importance.size()) != cols) {
    SINQ_THROW(Errc::kBadShape,
               text("col_importance has ", importance.size(), " values, the matrix ", cols, " columns"));
  }
  for (std::size_t c = 0; c < importance.size(); ++c) {
    if (!is_positive(importance[c])) {
      SINQ_THROW(Errc::kBadData, text("col_importance[", c, "] = ", importance[c], " is not positive and finite"));
    }
  }
}

SINQ_DECL bool gate_fires(const MatrixView& w, const Method& method) {
  // The gate judges the dual scale: there is nothing to switch off in plain quantization.
  return method.col_scale == ColScaleUse::kUsed && method.kurtosis_gate > 0.0F &&
         kurtosis(w, method.input_rounding) > static_cast<double>(method.kurtosis_gate);
}

/// Calls f(call) with plain rounding in the place of the method.
template <class F>
decltype(auto) with_gated_call(const QuantizeCall& call, F f) {
  Uniform quantizer = gated_quantizer(call.method);
  quantizer.validate();
  return f(QuantizeCall{call.w, gated_method(call.method, quantizer), QuantizerRef(quantizer),
                        NormalizerRef(Identity{}), call.options, call.executor, &run_tiles});
}

SINQ_DECL Layout run_tiles(const QuantizeCall& call, const Layout& layout, std::span<std::byte> out) {
  const QuantizeOptions& options = call.options;
  std::vector<TileWorker> workers(static_cast<std::size_t>(worker_count(call.executor)));
  TilePipeline pipeline(call.w, call.method, call.quantizer, call.normalizer, layout, out, options.col_importance,
                        options.isa);
  // A second round only if a group scale left the range of f16 under the scale guessed from a sample of rows.
  do {
    pipeline.learn(workers[0]);
    Progress progress(options.progress, pipeline.task_count());
    run_with_progress(call.executor, pipeline.task_count(), progress,
                      [&](Index task, Index worker) { pipeline.run(task, workers[static_cast<std::size_t>(worker)]); });
  } while (pipeline.needs_another_round(workers));
  if (options.report != nullptr) *options.report = pipeline.report();
  return pipeline.layout();
}

SINQ_DECL QuantizedView quantize_into(const QuantizeCall& call, std::span<std::byte> out) {
  const Layout layout = layout_for(call.method, call.w.rows, call.w.cols);
  require_readable("quantize", call.w);
  if (static_cast<Index>(out.size()) < storage_bytes(layout)) {
    SINQ_THROW(Errc::kBadShape,
               text("quantize_into: the buffer has ", out.size(), " bytes, required_bytes is ", storage_bytes(layout)));
  }
  if (reinterpret_cast<std::uintptr_t>(out.data()) % kRegionAlignment != 0) {
    SINQ_THROW(Errc::kBadShape, "quantize_into: the buffer is not aligned to 64 bytes");
  }
  if (gate_fires(call.w, call.method)) {
    const QuantizedView view = with_gated_call(call, [&](const QuantizeCall& c) { return quantize_into(c, out); });
    if (call.options.report != nullptr) call.options.report->gate = GateOutcome::kFired;
    return view;
  }
  check_importance(call.options.col_importance, call.w.cols);
  return QuantizedView::from_buffer(call.pipeline(call, layout, out), out);
}

SINQ_DECL QuantizedMatrix quantize(const QuantizeCall& call) {
  const Layout layout = layout_for(call.method, call.w.rows, call.w.cols);
  require_readable("quantize", call.w);
  if (gate_fires(call.w, call.method)) {
    QuantizedMatrix out = with_gated_call(call, [](const QuantizeCall& c) { return quantize(c); });
    if (call.options.report != nullptr) call.options.report->gate = GateOutcome::kFired;
    return out;
  }
  QuantizedMatrix out(layout);
  check_importance(call.options.col_importance, call.w.cols);
  out.set_matrix_scale(call.pipeline(call, layout, out.storage()).matrix_scale);
  return out;
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif

#if SINQ_HAS_BODIES(SEARCH)
#include <sinq/detail/panel_pipeline.hpp>
#include <sinq/detail/progress.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <class Encoder>
Layout run_panels(const QuantizeCall& call, const Layout& layout, std::span<std::byte> out) {
  const QuantizeOptions& options = call.options;
  std::vector<PanelWorker<Encoder>> workers(static_cast<std::size_t>(worker_count(call.executor)));
  PanelPipeline<Encoder> pipeline(call.w, call.method, *static_cast<Encoder*>(call.quantizer.quantizer),
                                  call.normalizer, layout, out, options.col_importance, options.isa);
  do {
    Progress progress(options.progress, pipeline.tile_count() + pipeline.panel_count());
    run_with_progress(call.executor, pipeline.tile_count(), progress, [&](Index task, Index worker) {
      pipeline.balance(task, workers[static_cast<std::size_t>(worker)]);
    });
    pipeline.require_finite(workers);
    pipeline.learn(workers[0]);
    run_with_progress(call.executor, pipeline.panel_count(), progress, [&](Index task, Index worker) {
      pipeline.encode(task, workers[static_cast<std::size_t>(worker)]);
    });
  } while (pipeline.needs_another_round(workers));
  if (options.report != nullptr) *options.report = pipeline.report();
  return pipeline.layout();
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
