#pragma once

#include <sinq/any_config.hpp>
#include <sinq/calibration/gptq.hpp>
#include <sinq/calibration/output_loss.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/finite.hpp>
#include <sinq/packing/aux_encoder.hpp>
#include <sinq/quantize.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI {

/// What a search of AWQ scales found.
struct AwqReport {
  double alpha = 0.0;          ///< of the scales that were kept; 0: those of the normalizer alone
  std::vector<double> losses;  ///< [steps], of alpha = i / steps; infinite where storage could not hold the scales
};

/// How one call of `quantize_awq` searches.
struct AwqOptions {
  int steps = 20;  ///< alphas that are tried: 0, 1 / steps .. (steps - 1) / steps; 1..1000
  Loss loss = Loss::kL1;
  AwqReport* report = nullptr;  ///< filled if not null
};

namespace detail {

/// A matrix whose columns are divided by column scales [row blocks][cols] when they are read.
struct ColumnScaledMatrix {
  MatrixView w;
  Index row_block;
  InputRounding rounding;
  Vector<float> inverse;

  [[nodiscard]] MatrixView view() const noexcept {
    return {.rows = w.rows, .cols = w.cols, .data = this, .read_tile = &read};
  }

 private:
  static void read(const void* matrix, Index row, Index col, Index rows, Index cols, float* out, Index out_stride) {
    const auto& m = *static_cast<const ColumnScaledMatrix*>(matrix);
    read_rect(m.w, {row, col, rows, cols}, out, out_stride);
    for (Index r = 0; r < rows; ++r, out += out_stride) {
      const float* inverse = m.inverse.data() + (row + r) / m.row_block * m.w.cols + col;
      for (Index c = 0; c < cols; ++c) {
        const float x = m.rounding == InputRounding::kF16 ? half_to_float(float_to_half(out[c])) : out[c];
        out[c] = x * inverse[c];
      }
    }
  }
};

/// mean|x_c|^alpha with geometric mean 1. Channels that hardly ever speak count as a ten-thousandth of the mean: they
/// shall not take the range of the others.
[[nodiscard]] inline Vector<double> awq_scales(const ActivationStats& stats, double alpha) {
  Vector<double> out(static_cast<std::size_t>(stats.cols()), 1.0);
  double sum = 0.0;
  for (Index c = 0; c < stats.cols(); ++c) sum += stats.mean_abs(c);
  if (sum == 0.0) return out;
  const double least = 1e-4 * sum / static_cast<double>(stats.cols());
  double log_sum = 0.0;
  for (Index c = 0; c < stats.cols(); ++c) {
    out[static_cast<std::size_t>(c)] = alpha * std::log(std::max(stats.mean_abs(c), least));
    log_sum += out[static_cast<std::size_t>(c)];
  }
  for (double& x : out) x = std::exp(x - log_sum / static_cast<double>(stats.cols()));
  return out;
}

/// The same method for a matrix that is normalized already.
template <class Q, class N>
[[nodiscard]] Config<Q, Identity> without_normalizer(const Config<Q, N>& config) {
  return {.quantizer = config.quantizer,
          .group_size = config.group_size,
          .tile_cols = config.tile_cols,
          .tiling = config.tiling,
          .aux = config.aux,
          .thresholds = config.thresholds,
          .ragged = config.ragged,
          .codes_against = config.codes_against};
}

/// Quantizes `w` under given column scales [row blocks][cols], as `layout` stores them. Without bytes if it cannot.
template <class Q, class N, Executor E>
[[nodiscard]] QuantizedMatrix quantize_under(const MatrixView& w, const Config<Q, N>& config, const Layout& layout,
                                             Vector<float> col_scale, const QuantizeOptions& options,
                                             const E& executor) {
  QuantizedMatrix out(layout);
  const auto count = static_cast<Index>(col_scale.size());
  col_scale.resize(static_cast<std::size_t>(round_up(count, kTileStride)));
  encode_aux(layout.col_scale_format(), AuxCurve::kLinear, {out.region(Region::kColScale).data(), nullptr}, {0, count},
             col_scale.data(), col_scale.data(), options.isa);
  ColumnScaledMatrix scaled{w, layout.row_block, config.input_rounding, std::move(col_scale)};
  for (Index i = 0; i < count; ++i) {
    float& x = scaled.inverse[static_cast<std::size_t>(i)];
    x = 1.0F / x;
    if (!is_positive(x)) return {};
  }
  const QuantizedMatrix bare = quantize(scaled.view(), without_normalizer(config), options, executor);
  for (int i = 0; i < kRegionCount; ++i) {
    const auto region = static_cast<Region>(i);
    if (region != Region::kColScale) {
      const auto bytes = std::span(bare.storage())
                             .subspan(static_cast<std::size_t>(region_offset(bare.layout(), region)),
                                      static_cast<std::size_t>(region_bytes(bare.layout(), region)));
      std::copy(bytes.begin(), bytes.end(), out.region(region).begin());
    }
  }
  out.set_matrix_scale(bare.layout().matrix_scale);
  return out;
}

}  // namespace detail

/// A-SINQ: the normalizer's column scales, divided by s_c = mean|x_c|^alpha, so that channels with large activations
/// get small errors; of several alphas the one with the least loss on the calibration's inputs. 0 is among them, which
/// is `quantize(w, config)` itself. The normalizer comes first, as in the reference: it would undo s otherwise. s costs
/// nothing at run time, since it is part of the stored column scales. The same bytes for every number of threads.
/// Where the kurtosis gate fires, nothing is searched. Progress counts every alpha anew; the report of
/// `quantize_options` is that of the last one. Sources: AWQ (arXiv 2306.00978), SINQ (arXiv 2509.22944). Throws
/// Errc::kBadConfig if the normalizer stores no column scales, kBadShape, kBadData (also for Loss::kL1 without kept
/// rows), kCancelled.
template <class Q, class N, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_awq(const MatrixView& w, const ActivationStats& stats,
                                           const Config<Q, N>& config, const AwqOptions& options = {},
                                           const QuantizeOptions& quantize_options = {}, const E& executor = {}) {
  if (N::kColScale == ColScaleUse::kUnused) {
    SINQ_THROW(Errc::kBadConfig, "awq: the normalizer stores no column scales, which AWQ's are a part of");
  }
  if (options.steps < 1 || options.steps > 1000) {
    SINQ_THROW(Errc::kBadConfig, detail::text("awq: steps ", options.steps, " is not in 1..1000"));
  }
  detail::require_calibration("awq", w, stats);
  if (options.loss == Loss::kL1 && stats.sample_count() == 0) {
    SINQ_THROW(Errc::kBadData, "awq: Loss::kL1 needs rows of activations, the statistics kept none (max_samples 0)");
  }
  QuantizedMatrix best = quantize(w, config, quantize_options, executor);
  AwqReport report;
  const Layout layout = best.layout();
  if (layout.col_scale == ColScaleKind::kStored) {
    const detail::OutputLoss loss(w, stats, options.loss, quantize_options.isa, executor);
    report.losses.push_back(loss.measure(best, executor));
    detail::Vector<float> own(static_cast<std::size_t>(layout.row_blocks() * layout.cols));
    for (Index b = 0; b < layout.row_blocks(); ++b) {
      best.view().col_scales(b * layout.row_block, {0, layout.cols}, own.data() + b * layout.cols);
    }
    double least = report.losses[0];
    for (int i = 1; i < options.steps; ++i) {
      const double alpha = static_cast<double>(i) / options.steps;
      const detail::Vector<double> s = detail::awq_scales(stats, alpha);
      detail::Vector<float> col_scale = own;
      for (std::size_t k = 0; k < own.size(); ++k) {
        col_scale[k] = static_cast<float>(static_cast<double>(own[k]) / s[k % s.size()]);
      }
      QuantizedMatrix next =
          detail::quantize_under(w, config, layout, std::move(col_scale), quantize_options, executor);
      const bool stored = !next.storage().empty();
      report.losses.push_back(stored ? loss.measure(next, executor) : std::numeric_limits<double>::infinity());
      if (report.losses.back() < least) {
        least = report.losses.back();
        report.alpha = alpha;
        best = std::move(next);
      }
    }
  }
  if (options.report != nullptr) *options.report = std::move(report);
  return best;
}

/// With the default method: `quantize_awq(w, stats, {.group_size = 128})` works too.
template <Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_awq(const MatrixView& w, const ActivationStats& stats,
                                           const Config<>& config = {}, const AwqOptions& options = {},
                                           const QuantizeOptions& quantize_options = {}, const E& executor = {}) {
  return quantize_awq<Uniform, Sinkhorn, E>(w, stats, config, options, quantize_options, executor);
}

template <std::same_as<AnyConfig> Any, Executor E = Serial>
[[nodiscard]] QuantizedMatrix quantize_awq(const MatrixView& w, const ActivationStats& stats, const Any& config,
                                           const AwqOptions& options = {}, const QuantizeOptions& quantize_options = {},
                                           const E& executor = {}) {
  return std::visit([&](const auto& c) { return quantize_awq(w, stats, c, options, quantize_options, executor); },
                    config);
}

}  // namespace sinq::inline SINQ_ABI
