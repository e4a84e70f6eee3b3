#pragma once

#include <sinq/config.hpp>
#include <sinq/detail/tile_pipeline.hpp>
#include <sinq/executor.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/quantized_matrix.hpp>

#include <atomic>
#include <functional>
#include <mutex>

namespace sinq::inline SINQ_ABI {

/// What a progress callback answers.
enum class ProgressAction : std::uint8_t { kContinue, kCancel };

/// Called after each task (a tile or a few neighbours) with tasks done and in all, by whichever thread finished it, one
/// call at a time.
using ProgressCallback = std::function<ProgressAction(Index done, Index total)>;

/// How one call runs, and what is known beside the matrix.
struct QuantizeOptions {
  Isa isa = Isa::kBest;  ///< limit; see Isa. Changes the result within rounding only
  /// [cols] what an error in each column costs, such as the mean square of its input; positive. Quantizers that search
  /// (Fitted, LearnedCodebook, VectorCodebook) weigh by it; empty: by 1 / col_scale.
  std::span<const float> col_importance = {};
  ProgressCallback progress = {};    ///< empty: none
  QuantizeReport* report = nullptr;  ///< filled if not null
};

/// The layout that `config` gives a matrix [rows, cols]; matrix_scale is filled by `quantize`.
/// Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Layout layout_for(const Config<Q, N>& config, Index rows, Index cols) {
  validate(config);
  if (rows < 1 || cols < 1) {
    SINQ_THROW(Errc::kBadShape, detail::text("quantize: the matrix is ", rows, " x ", cols, "; it must not be empty"));
  }
  const CodeFormat format = config.quantizer.format();
  const Index group_size = effective_group_size(config, cols);
  const Index tile_cols = detail::tile_cols(config, group_size);
  if (config.tiling == Tiling::kSquare && config.ragged == RaggedTile::kHalve && rows % tile_cols != 0) {
    SINQ_THROW(Errc::kBadConfig, detail::text("tile_cols ", tile_cols, " does not divide rows ", rows,
                                              ", which square tiles with RaggedTile::kHalve need"));
  }
  Layout layout{.rows = rows,
                .cols = cols,
                .bits = format.bits,
                .vector_dim = format.vector_dim,
                .group_size = group_size,
                .row_block = config.tiling == Tiling::kSquare ? std::min(tile_cols, rows) : rows,
                .level_count = static_cast<Index>(
                    format.vector_dim == 1 ? format.levels.size()
                                           : format.vector_levels.size() / static_cast<std::size_t>(format.vector_dim)),
                .signs = format.signs,
                .offset = format.symmetry == Symmetry::kSymmetric ? OffsetKind::kShared : OffsetKind::kZeroPoint,
                .aux = config.aux,
                .col_scale = N::kColScale == ColScaleUse::kUsed ? ColScaleKind::kStored : ColScaleKind::kNone,
                .shared_zero_point = format.symmetry == Symmetry::kSymmetric ? format.shared_zero_point : 0.0F};
  validate(layout);
  return layout;
}

namespace detail {

/// What a gated matrix gets instead, as in the reference: plain round-to-nearest of the same bits.
template <class Q, class N>
[[nodiscard]] Config<Uniform, Identity> gated_config(const Config<Q, N>& config) {
  const bool reference = config.codes_against == CodesAgainst::kFitted;
  return {.quantizer = {.bits = config.quantizer.format().bits,
                        .zero_point = reference ? ZeroPoint::kInteger : ZeroPoint::kReal,
                        .division = reference ? Division::kExact : Division::kReciprocal},
          .group_size = config.group_size,
          .tile_cols = config.tile_cols,
          .tiling = config.tiling,
          .aux = config.aux,
          .thresholds = config.thresholds,
          .ragged = config.ragged,
          .codes_against = config.codes_against,
          .input_rounding = config.input_rounding};
}

/// The layout of `w`, after checking that there is a matrix.
template <class Q, class N>
Layout require_data(const MatrixView& w, const Config<Q, N>& config) {
  const Layout layout = layout_for(config, w.rows, w.cols);
  require_readable("quantize", w);
  return layout;
}

inline void check_importance(std::span<const float> importance, Index cols) {
  if (importance.empty()) return;
  if (static_cast<Index>(importance.size()) != cols) {
    SINQ_THROW(Errc::kBadShape,
               text("col_importance has ", importance.size(), " values, the matrix ", cols, " columns"));
  }
  for (std::size_t c = 0; c < importance.size(); ++c) {
    if (!(importance[c] > 0.0F) || !std::isfinite(importance[c])) {
      SINQ_THROW(Errc::kBadData, text("col_importance[", c, "] = ", importance[c], " is not positive and finite"));
    }
  }
}

template <class Q, class N>
[[nodiscard]] bool gate_fires(const MatrixView& w, const Config<Q, N>& config) {
  // The gate judges the dual scale: there is nothing to switch off in plain quantization.
  return N::kColScale == ColScaleUse::kUsed && config.kurtosis_gate > 0.0F &&
         kurtosis(w, config.input_rounding) > static_cast<double>(config.kurtosis_gate);
}

}  // namespace detail

/// The layout that `quantize` gives `w` itself: the above, or that of plain rounding if `config` has a kurtosis gate
/// and it fires, for which the whole matrix is read. Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Layout layout_for(const MatrixView& w, const Config<Q, N>& config) {
  const Layout layout = detail::require_data(w, config);
  return detail::gate_fires(w, config) ? layout_for(detail::gated_config(config), w.rows, w.cols) : layout;
}

/// Bytes that `quantize_into` needs for a matrix [rows, cols]. Throws Errc::kBadConfig or kBadShape.
template <class Q, class N>
[[nodiscard]] Index required_bytes(const Config<Q, N>& config, Index rows, Index cols) {
  const Index bytes = storage_bytes(layout_for(config, rows, cols));
  if (!(config.kurtosis_gate > 0.0F)) return bytes;
  return std::max(bytes, storage_bytes(layout_for(detail::gated_config(config), rows, cols)));
}

/// Quantizes `w` into memory of the caller, `required_bytes` of it, aligned to 64 bytes; the view reads from there.
/// Safe to call from several threads on different buffers. Memory beyond input and output: one tile per thread, and
/// less than 64 bytes of codes per row of it.
/// Throws Errc::kBadConfig, kBadShape, kBadData (NaN, Inf, beyond float32: with row, column and value), kCancelled.
template <class Q, class N, Executor E = Serial>
QuantizedView quantize_into(const MatrixView& w, const Config<Q, N>& config, std::span<std::byte> out,
                            const QuantizeOptions& options = {}, const E& executor = {}) {
  const Layout layout = detail::require_data(w, config);
  if (static_cast<Index>(out.size()) < storage_bytes(layout)) {
    SINQ_THROW(Errc::kBadShape, detail::text("quantize_into: the buffer has ", out.size(), " bytes, required_bytes is ",
                                             storage_bytes(layout)));
  }
  if (reinterpret_cast<std::uintptr_t>(out.data()) % kRegionAlignment != 0) {
    SINQ_THROW(Errc::kBadShape, "quantize_into: the buffer is not aligned to 64 bytes");
  }
  detail::check_importance(options.col_importance, w.cols);
  if (detail::gate_fires(w, config)) {
    const QuantizedView view = quantize_into(w, detail::gated_config(config), out, options, executor);
    if (options.report != nullptr) options.report->gate = GateOutcome::kFired;
    return view;
  }
  auto quantizer = detail::as_tile_quantizer(config.quantizer);
  detail::TilePipeline<decltype(quantizer), N> pipeline(w, config, quantizer, layout, out, options.col_importance,
                                                        options.isa);
  std::vector<detail::TileWorker> workers(static_cast<std::size_t>(executor.concurrency()));
  const Index tasks = pipeline.task_count();
  // A second round only if a group scale left the range of f16 under the scale guessed from a sample of rows.
  do {
    if constexpr (LearningQuantizer<decltype(quantizer)>) pipeline.learn(workers[0]);
    std::atomic<Index> done{0};
    std::atomic<bool> cancelled{false};
    std::mutex progress_lock;
    executor.run(tasks, [&](Index task, Index worker) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      pipeline.run(task, workers[static_cast<std::size_t>(worker)]);
      const Index count = done.fetch_add(1) + 1;
      if (!options.progress) return;
      const std::lock_guard<std::mutex> guard(progress_lock);
      if (options.progress(count, tasks) == ProgressAction::kCancel) cancelled.store(true);
    });
    if (cancelled.load()) SINQ_THROW(Errc::kCancelled, "quantize: cancelled by the progress callback");
  } while (pipeline.needs_another_round(workers));
  if (options.report != nullptr) *options.report = pipeline.report();
  return QuantizedView::from_buffer(pipeline.layout(), out);
}

namespace detail {

template <class Q, class N, Executor E>
[[nodiscard]] QuantizedMatrix quantize_to_memory(const MatrixView& w, const Config<Q, N>& config,
                                                 const QuantizeOptions& options, const E& executor) {
  require_data(w, config);
  if (gate_fires(w, config)) {
    QuantizedMatrix out = quantize_to_memory(w, gated_config(config), options, executor);
    if (options.report != nullptr) options.report->gate = GateOutcome::kFired;
    return out;
  }
  Config<Q, N> ungated = config;
  ungated.kurtosis_gate = 0.0F;
  QuantizedMatrix out(layout_for(ungated, w.rows, w.cols));
  out.set_matrix_scale(quantize_into(w, ungated, out.storage(), options, executor).layout().matrix_scale);
  return out;
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
