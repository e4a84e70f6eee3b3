#pragma once

#include <sinq/any_config.hpp>
#include <sinq/calibration/panel_codes.hpp>
#include <sinq/calibration/re_encode.hpp>
#include <sinq/calibration/trellis_blocks.hpp>
#include <sinq/detail/finite_weights.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantize.hpp>

#include <optional>

namespace sinq::inline SINQ_ABI {

/// How one call of `gptq` runs.
struct GptqOptions {
  float damping = 0.01F;  ///< added to the Gram matrix's diagonal, in units of the diagonal's mean; not negative
  ColumnOrder order = ColumnOrder::kNatural;
  bool refit_scales = true;  ///< group scales follow the codes; off: they stay, as published
  Isa isa = Isa::kBest;      ///< limit; see Isa
};

namespace detail {

inline void require_calibration(std::string_view who, const MatrixView& w, const ActivationStats& stats) {
  require_readable(who, w);
  if (stats.cols() != w.cols) {
    SINQ_THROW(Errc::kBadShape, text(who, ": the statistics have ", stats.cols(), " columns, the matrix has ", w.cols));
  }
  if (stats.tokens() == 0) SINQ_THROW(Errc::kBadData, text(who, ": the statistics have seen no tokens"));
}

inline void validate(const MatrixView& w, const ActivationStats& stats, const Layout& layout,
                     const GptqOptions& options) {
  if (w.rows != layout.rows || w.cols != layout.cols) {
    SINQ_THROW(Errc::kBadShape, text("gptq: the matrix is ", w.rows, " x ", w.cols, ", the quantized one ", layout.rows,
                                     " x ", layout.cols));
  }
  require_calibration("gptq", w, stats);
  if (stats.kind() != StatsKind::kGram) {
    SINQ_THROW(Errc::kBadConfig, "gptq: the statistics are StatsKind::kChannels; GPTQ needs kGram");
  }
  if (!is_not_negative(options.damping)) {
    SINQ_THROW(Errc::kBadConfig, text("gptq: damping ", options.damping, " is not 0 or positive and finite"));
  }
  if (options.order == ColumnOrder::kByActivation && TrellisCodes::holds(layout)) {
    SINQ_THROW(Errc::kUnsupported,
               "gptq: ColumnOrder::kByActivation would tear the columns of a code apart: not with the lane trellis");
  }
  if (TrellisCodes::holds(layout) && layout.row_block < layout.rows &&
      layout.row_block % TrellisGeometry::kPanelRows != 0) {
    SINQ_THROW(Errc::kUnsupported, text("gptq: row_block ", layout.row_block, " divides a panel of ",
                                        TrellisGeometry::kPanelRows, " rows of the lane trellis"));
  }
  require_finite_weights("gptq", w, InputRounding::kNone);
}

/// One row block after the other, each under its column scales.
template <class Codes, Executor E>
void re_encode(const MatrixView& w, const ActivationStats& stats, QuantizedMatrix& q, const GptqOptions& options,
               const E& executor) {
  const Layout& layout = q.layout();
  ReEncoder<Codes> encoder(w, q, options.isa);
  Vector<float> col_scale(static_cast<std::size_t>(layout.cols));
  for (Index row = 0; row < layout.rows; row += layout.row_block) {
    q.view().col_scales(row, {0, layout.cols}, col_scale.data());
    const NormalizedGram gram(stats, col_scale, static_cast<double>(options.damping));
    const FeedbackFactor factor = factorize_feedback(gram, options.order, options.isa, executor);
    std::optional<TriangularPanels> hessian;
    if (options.refit_scales && encoder.can_follow()) hessian = gram_panels(gram, executor);
    encoder.run({row, std::min(row + layout.row_block, layout.rows)}, col_scale, factor, hessian ? &*hessian : nullptr,
                executor);
  }
}

}  // namespace detail

/// Rounds `w` [rows, cols] again, for the outputs' sake: every column takes what the errors of the columns before it
/// did to the outputs on the calibration's inputs. Rewrites the codes of `q`, and its group scales
/// follow (`GptqOptions::refit_scales`): before the columns of a group are rounded, to the targets that the errors so
/// far have made of its weights; and once all codes stand, those of each row together, by least squares under the Gram
/// matrix, where that lowers the loss. Zero points, column scales and levels, by whatever quantizer, stay. The same
/// bytes for every number of threads. Source: GPTQ (arXiv 2210.17323), in the form of LDLQ (QuIP, arXiv 2307.13304).
///
/// Codes of the lane trellis are chosen by block LDLQ, with foresight (`detail::TrellisBlocks`).
/// ColumnOrder::kByActivation has the second fit only. Square tiles whose height is no multiple of 64
/// keep their scales under kU8 and kU6, where rows of several tiles share a minimum and a step.
/// Time: cols^3 / 3 + rows * cols^2 operations, with scales that follow cols^3 / 3 + 3 * rows * cols^2; with square
/// tiles the first term once per row block. Memory: cols^2 doubles and as many floats by half; with scales that follow
/// also, for each thread, 16 * (cols / group_size)^2 floats.
/// Throws Errc::kBadShape, kBadConfig, kBadData (NaN, Inf, no tokens, a Gram matrix that needs more damping) or
/// kUnsupported (kByActivation with a lane trellis, square tiles that divide a panel of the trellis),
/// and leaves `q` as it was, unless row blocks have Gram matrices of their own, of which a later one needs more
/// damping.
template <Executor E = Serial>
void gptq(const MatrixView& w, const ActivationStats& stats, QuantizedMatrix& q, const GptqOptions& options = {},
          const E& executor = {}) {
  detail::validate(w, stats, q.layout(), options);
  if (detail::TrellisCodes::holds(q.layout())) {
    detail::re_encode<detail::TrellisBlocks>(w, stats, q, options, executor);
  } else {
    detail::re_encode<detail::PanelCodes>(w, stats, q, options, executor);
  }
}

/// `quantize`, then `gptq`. Throws as they do.
template <class Q, class N, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_gptq(const MatrixView& w, const ActivationStats& stats,
                                            const Config<Q, N>& config, const GptqOptions& options = {},
                                            const QuantizeOptions& quantize_options = {}, const E& executor = {}) {
  QuantizedMatrix out = quantize(w, config, quantize_options, executor);
  gptq(w, stats, out, options, executor);
  return out;
}

/// With the default method: `quantize_gptq(w, stats, {.group_size = 128})` works too.
template <Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_gptq(const MatrixView& w, const ActivationStats& stats,
                                            const Config<>& config = {}, const GptqOptions& options = {},
                                            const QuantizeOptions& quantize_options = {}, const E& executor = {}) {
  return quantize_gptq<Uniform, Sinkhorn, E>(w, stats, config, options, quantize_options, executor);
}

template <std::same_as<AnyConfig> Any, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_gptq(const MatrixView& w, const ActivationStats& stats, const Any& config,
                                            const GptqOptions& options = {},
                                            const QuantizeOptions& quantize_options = {}, const E& executor = {}) {
  return std::visit([&](const auto& c) { return quantize_gptq(w, stats, c, options, quantize_options, executor); },
                    config);
}

}  // namespace sinq::inline SINQ_ABI
