#pragma once

#include <sinq/block_formats/block_fields.hpp>
#include <sinq/block_formats/block_search.hpp>

#include <cmath>
#include <span>

namespace sinq::detail {

/// What the search does; the defaults are what was measured to be best.
struct BlockPlan {
  float sigma = 1.0F;  ///< an error at x weighs (sigma * rms of the row + |x|)^power
  float power = 0.0F;
  std::span<const float> clips;
  int rounds = 3;  ///< of least squares after the best start
  int polish = 3;  ///< rounds of codes and least squares under stored scales
  float reach = 1.0F;
  int divisors = 16;
};

inline constexpr float kBlockClips[] = {1.1F, 1.0F, 0.95F, 0.9F, 0.85F, 0.8F, 0.75F, 0.7F, 0.6F};

/// The search that suits a format.
[[nodiscard]] inline BlockPlan block_plan(const BlockTraits&) noexcept { return {.clips = kBlockClips}; }

/// Encodes runs of blocks of one row, sixteen sub-blocks at a time.
class BlockEncoder {
 public:
  BlockEncoder(const BlockTraits& traits, const BlockPlan& plan, Isa limit) noexcept
      : traits_(traits), plan_(plan), limit_(limit), per_panel_(BlockPanel::kLanes / traits.sub_blocks) {
    panel_.size = traits.sub_size;
    if (traits.levels != nullptr) {
      grid_ = {traits.levels[0], traits.levels[15], traits.levels, traits.midpoints};
    } else {
      grid_ = {static_cast<float>(traits.least_level + traits.unused_levels),
               static_cast<float>(traits.greatest_level)};
    }
  }

  /// Blocks of one panel.
  [[nodiscard]] Index per_panel() const noexcept { return per_panel_; }

  /// Encodes `blocks` (at most per_panel()) blocks at `x`. `importance` as long as x, or null. `rms` is the row's.
  void encode(const float* x, const float* importance, float rms, Index blocks, BlockFields* out) noexcept {
    load(x, importance, rms, blocks);
    BlockFit plain, fit;
    if (traits_.has_min()) {
      BlockLanes direction;
      choose_direction(direction);
      dispatch(limit_, [&](auto tag) {
        BlockSearch<decltype(tag)>::fit_affine(panel_, grid_, starts(), direction, plain, fit);
      });
    } else {
      dispatch(limit_, [&](auto tag) { BlockSearch<decltype(tag)>::fit_scale(panel_, grid_, starts(), plain, fit); });
    }
    BlockStored best, other;
    double error[kLanes], other_error[kLanes];
    store(fit, best);
    polish(blocks, plan_.polish, best, error);
    store(plain, other);
    polish(blocks, 0, other, other_error);
    for (Index b = 0; b < blocks; ++b) {
      if (other_error[b] < error[b]) copy(other, b, best);
    }
    finish(blocks, best, out);
  }

 private:
  static constexpr Index kLanes = BlockPanel::kLanes;

  [[nodiscard]] BlockStarts starts() const noexcept {
    return {plan_.clips.data(), static_cast<int>(plan_.clips.size()), plan_.rounds};
  }

  /// The panel of these blocks; lanes behind them are zero.
  void load(const float* x, const float* importance, float rms, Index blocks) noexcept {
    const Index size = traits_.size(), n = traits_.sub_size;
    for (Index b = 0; b < per_panel_; ++b) {
      const Index first_lane = b * traits_.sub_blocks;
      float greatest = 0.0F, weight = 0.0F;
      if (b < blocks) {
        for (Index i = 0; i < size; ++i) {
          const float a = std::fabs(x[b * size + i]);
          greatest = a > greatest ? a : greatest;
        }
        for (Index i = 0; importance != nullptr && i < size; ++i) {
          weight = importance[b * size + i] > weight ? importance[b * size + i] : weight;
        }
      }
      unit_[b] = std::ldexp(1.0F, std::ilogb(std::fmax(greatest, 0x1p-100F)));
      const float inverse_unit = 1.0F / unit_[b];
      const float inverse_weight = weight > 0.0F ? 1.0F / weight : 0.0F;
      const float floor = plan_.sigma * rms * inverse_unit;
      for (Index j = 0; j < traits_.sub_blocks; ++j) {
        for (Index i = 0; i < n; ++i) {
          const Index at = b * size + j * n + i, to = i * kLanes + first_lane + j;
          const float y = b < blocks ? x[at] * inverse_unit : 0.0F;
          float w = weight > 0.0F ? importance[at] * inverse_weight : 1.0F;
          if (plan_.power == 1.0F)
            w *= floor + std::fabs(y);
          else if (plan_.power == 2.0F)
            w *= floor * floor + y * y;
          else if (plan_.power == 0.5F)
            w *= std::sqrt(floor + std::fabs(y));
          panel_.x[to] = y;
          panel_.w[to] = w;
        }
      }
    }
  }

  /// The sign of a block's minimum is that of the offsets of most of its weights; a minimum of a sub-block's own may
  /// have any.
  void choose_direction(BlockLanes& direction) const noexcept {
    for (Index first = 0; first < kLanes; first += traits_.sub_blocks) {
      float below = 0.0F, above = 0.0F;
      for (Index lane = first; lane < first + traits_.sub_blocks; ++lane) {
        float low = panel_.x[lane];
        for (Index i = 1; i < panel_.size; ++i) low = std::fmin(low, panel_.x[i * kLanes + lane]);
        (low < 0.0F ? below : above) += low * low;
      }
      const float sign = !traits_.has_min_codes() ? 0.0F : above > below ? -1.0F : 1.0F;
      for (Index lane = first; lane < first + traits_.sub_blocks; ++lane) direction[lane] = sign;
    }
  }

  /// The nearest scale that binary16 has, in units of block b.
  [[nodiscard]] float round_to_f16(float scale, Index b) const noexcept {
    float stored = half_to_float(float_to_half(scale * unit_[b]));
    if (std::isinf(stored)) stored = std::copysign(65504.0F, stored);
    return stored / unit_[b];
  }

  /// Scale of the block and codes of its sub-blocks' scales, near the fitted ones.
  void store(const BlockFit& fit, BlockStored& out) const noexcept {
    BlockLanes weight;
    for (Index lane = 0; lane < kLanes; ++lane) {
      weight[lane] = 0.0F;
      for (Index i = 0; i < panel_.size; ++i) weight[lane] += panel_.w[i * kLanes + lane];
    }
    for (Index b = 0; b < per_panel_; ++b) {
      const Index first = b * traits_.sub_blocks;
      const auto scale = common_factor(fit.scale + first, weight + first, static_cast<float>(traits_.least_scale),
                                       static_cast<float>(traits_.greatest_scale), b, out.scale_code + first);
      BlockLanes mins;
      for (Index j = 0; j < traits_.sub_blocks; ++j) mins[j] = -fit.offset[first + j];
      const auto min = common_factor(mins, weight + first, static_cast<float>(traits_.least_min),
                                     static_cast<float>(traits_.greatest_min), b, out.min_code + first);
      for (Index j = 0; j < traits_.sub_blocks; ++j) {
        out.scale[first + j] = scale;
        out.min[first + j] = min;
      }
    }
  }

  /// A stored number and codes in [least, greatest] so that number * codes[j] ~ values[j] with the least weighted
  /// error.
  float common_factor(const float* values, const float* weight, float least, float greatest, Index b,
                      float* codes) const noexcept {
    const Index n = traits_.sub_blocks;
    if (least == greatest) {
      for (Index j = 0; j < n; ++j) codes[j] = least;
      return least == 0.0F ? 0.0F : round_to_f16(values[0], b);
    }
    float most = 0.0F;
    for (Index j = 0; j < n; ++j) {
      if (std::fabs(values[j]) > std::fabs(most)) most = values[j];
    }
    float best = 0.0F, least_error = std::numeric_limits<float>::infinity();
    for (int k = 0; k < plan_.divisors; ++k) {
      for (const float end : {least, greatest}) {
        if (end == 0.0F) continue;
        const float divisor = end * (1.0F - 0.5F * static_cast<float>(k) / static_cast<float>(plan_.divisors));
        float factor = round_to_f16(most / divisor, b);
        if (factor == 0.0F) factor = std::copysign(0x1p-24F, most / divisor) / unit_[b];
        float error = 0.0F;
        for (Index j = 0; j < n; ++j) {
          const float code = std::fmin(std::fmax(std::nearbyint(values[j] / factor), least), greatest);
          const float d = values[j] - code * factor;
          error += weight[j] * d * d;
        }
        if (error < least_error) {
          least_error = error;
          best = factor;
        }
      }
    }
    for (Index j = 0; j < n; ++j) codes[j] = std::fmin(std::fmax(std::nearbyint(values[j] / best), least), greatest);
    return best;
  }

  /// In turn: the best codes of scales and minima under the stored ones, and the block's scale and minimum for those.
  void polish(Index blocks, int rounds, BlockStored& best, double* error) noexcept {
    BlockCodeRange range{static_cast<float>(traits_.least_scale),        static_cast<float>(traits_.greatest_scale),
                         traits_.has_scale_codes() ? plan_.reach : 0.0F, static_cast<float>(traits_.least_min),
                         static_cast<float>(traits_.greatest_min),       traits_.has_min_codes() ? plan_.reach : 0.0F};
    BlockSums sums;
    dispatch(limit_, [&](auto tag) { BlockSearch<decltype(tag)>::settle(panel_, grid_, range, best, sums); });
    BlockStored next = best;
    for (Index b = 0; b < blocks; ++b) error[b] = error_of(sums, b);
    for (int round = 0; round < rounds; ++round) {
      for (Index b = 0; b < blocks; ++b) solve(sums, b, next);
      dispatch(limit_, [&](auto tag) { BlockSearch<decltype(tag)>::settle(panel_, grid_, range, next, sums); });
      bool any = false;
      for (Index b = 0; b < blocks; ++b) {
        const double e = error_of(sums, b);
        if (e < error[b]) {
          error[b] = e;
          any = true;
          copy(next, b, best);
        }
      }
      if (!any) break;
    }
  }

  void copy(const BlockStored& from, Index b, BlockStored& to) const noexcept {
    for (Index lane = b * traits_.sub_blocks; lane < (b + 1) * traits_.sub_blocks; ++lane) {
      to.scale[lane] = from.scale[lane];
      to.min[lane] = from.min[lane];
      to.scale_code[lane] = from.scale_code[lane];
      to.min_code[lane] = from.min_code[lane];
    }
  }

  [[nodiscard]] double error_of(const BlockSums& sums, Index b) const noexcept {
    double error = 0.0;
    for (Index j = 0; j < traits_.sub_blocks; ++j) error += static_cast<double>(sums.error[b * traits_.sub_blocks + j]);
    return error;
  }

  /// The block's least-squares scale and minimum for these codes of sub-blocks and weights.
  void solve(const BlockSums& sums, Index b, BlockStored& stored) const noexcept {
    double a = 0.0, c = 0.0, d = 0.0, x = 0.0, y = 0.0;
    const Index first = b * traits_.sub_blocks;
    for (Index lane = first; lane < first + traits_.sub_blocks; ++lane) {
      const double s = static_cast<double>(stored.scale_code[lane]), m = static_cast<double>(stored.min_code[lane]);
      a += s * s * static_cast<double>(sums.qq[lane]);
      c += s * m * static_cast<double>(sums.q[lane]);
      d += m * m * static_cast<double>(sums.one[lane]);
      x += s * static_cast<double>(sums.qx[lane]);
      y += m * static_cast<double>(sums.sum_x[lane]);
    }
    double scale = static_cast<double>(stored.scale[first]), min = static_cast<double>(stored.min[first]);
    const double determinant = a * d - c * c;
    if (determinant > 1e-9 * a * d) {
      scale = (d * x - c * y) / determinant;
      min = (c * x - a * y) / determinant;
    } else if (a > 0.0) {
      scale = (x + c * min) / a;
    }
    // The scale for the minimum as binary16 has it.
    const float stored_min = round_to_f16(static_cast<float>(min), b);
    if (a > 0.0 && c != 0.0) scale = (x + c * static_cast<double>(stored_min)) / a;
    const float stored_scale = round_to_f16(static_cast<float>(scale), b);
    for (Index lane = first; lane < first + traits_.sub_blocks; ++lane) {
      stored.scale[lane] = stored_scale;
      stored.min[lane] = stored_min;
    }
  }

  void finish(Index blocks, const BlockStored& best, BlockFields* out) noexcept {
    dispatch(limit_, [&](auto tag) {
      BlockSearch<decltype(tag)>::encode(panel_, grid_, best, static_cast<float>(traits_.unused_levels), codes_);
    });
    for (Index b = 0; b < blocks; ++b) {
      const Index first = b * traits_.sub_blocks;
      out[b].scale = float_to_half(best.scale[first] * unit_[b]);
      out[b].min = float_to_half(best.min[first] * unit_[b]);
      for (Index j = 0; j < traits_.sub_blocks; ++j) {
        out[b].scales[j] = static_cast<std::int8_t>(best.scale_code[first + j]);
        out[b].mins[j] = static_cast<std::int8_t>(best.min_code[first + j]);
        for (Index i = 0; i < traits_.sub_size; ++i) {
          out[b].codes[j * traits_.sub_size + i] = codes_[i * kLanes + first + j];
        }
      }
    }
  }

  const BlockTraits& traits_;
  const BlockPlan& plan_;
  Isa limit_;
  Index per_panel_;
  BlockGrid grid_;
  BlockPanel panel_;
  float unit_[kLanes];
  std::uint8_t codes_[BlockPanel::kMaxSize * kLanes];
};

}  // namespace sinq::detail
