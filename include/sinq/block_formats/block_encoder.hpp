#pragma once

#include <sinq/block_formats/block_fields.hpp>
#include <sinq/block_formats/block_search.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace sinq::inline SINQ_ABI::detail {

/// Finds the fields of blocks with the least weighted squared error, sixteen sub-blocks at a time.
///
/// 1. Each sub-block is fitted by itself: many starts, least squares for the levels that each gives.
/// 2. A scale (and minimum) of the block and codes for its sub-blocks are chosen so that products come near those.
/// 3. In turn: sub-blocks move to the best codes under what binary16 holds, the error taken over the rounded weights;
///    and the block's scale and minimum to the least squares for all codes. The best state seen is kept.
///
/// The plain way (ranges from extreme weights, no fit) is a candidate too, so no block is worse than it.
/// Source of the idea: ggml's searches of scales; the objective differs (see README.md).
class BlockEncoder {
 public:
  BlockEncoder(const BlockTraits& traits, Isa limit) noexcept
      : traits_(traits), limit_(limit), per_panel_(BlockPanel::kLanes / traits.sub_blocks) {
    panel_.size = traits.sub_size;
    if (traits.levels != nullptr) {
      grid_ = {traits.levels[0], traits.levels[traits.greatest_level], traits.levels, traits.midpoints};
    } else {
      grid_.lowest = static_cast<float>(traits.least_level + traits.unused_levels);
      grid_.highest = static_cast<float>(traits.greatest_level);
    }
    codes_ = {.least_scale = static_cast<float>(traits.least_scale),
              .greatest_scale = static_cast<float>(traits.greatest_scale),
              .scale_reach = 0.0F,
              .least_min = static_cast<float>(traits.least_min),
              .greatest_min = static_cast<float>(traits.greatest_min),
              .min_reach = 0.0F};
  }

  /// Blocks that are encoded at once.
  [[nodiscard]] Index per_panel() const noexcept { return per_panel_; }

  /// Encodes `blocks` blocks (at most per_panel()) of weights `x`. `importance` is as long as x, or null.
  void encode(const float* x, const float* importance, Index blocks, BlockFields* out) noexcept {
    load(x, importance, blocks);
    BlockFit plain, fit;
    dispatch(limit_, [&](auto tag) {
      using Search = BlockSearch<decltype(tag)>;
      if (traits_.has_min()) {
        BlockLanes direction;
        choose_direction(direction);
        Search::fit_affine(panel_, grid_, starts(), direction, plain, fit);
      } else {
        Search::fit_scale(panel_, grid_, starts(), plain, fit);
      }
    });
    BlockStored best, other;
    double error[kLanes], other_error[kLanes];
    store(fit, kDivisors, best);
    polish(kReach, kPolishRounds, best, error);
    // Of scales alone a search is cheap.
    const bool searched = !traits_.has_min();
    store(plain, searched ? kDivisors : 1, other);
    polish(searched ? kReach : 0.0F, 0, other, other_error);
    for (Index b = 0; b < per_panel_; ++b) {
      if (other_error[b] < error[b]) copy_block(other, b, best);
      // Where binary16 has no scale and minimum that are small enough.
      if (error_of_zeros(b) < std::min(error[b], other_error[b])) put_block(0.0F, 0.0F, b, best);
    }
    finish(blocks, best, out);
  }

 private:
  static constexpr Index kLanes = BlockPanel::kLanes;

  // Measured on weights of normal and heavier tails: twice as many of any gain less than 0.2% of the error.
  static constexpr float kReach = 2.0F;      ///< of codes, at first
  static constexpr float kNextReach = 1.0F;  ///< in the turns after that
  static constexpr int kFitRounds = 2;
  static constexpr int kPolishRounds = 3;
  static constexpr int kDivisors = 16;
  static_assert(kDivisors <= kLanes);

  /// From scales an eighth larger than the range needs, where rounding may fall out better, to 2.5 levels of clipping.
  [[nodiscard]] BlockStarts starts() const noexcept {
    // With offsets, where each start has three positions, half as many cost 0.1% of the error.
    const float step = traits_.has_min() ? 0.5F : 0.25F;
    constexpr float kMostClipped = 2.5F, kTableTop = 8.0F;
    const float top = traits_.levels != nullptr ? kTableTop : grid_.lowest < 0.0F ? -grid_.lowest : grid_.highest;
    const float first = -0.5F - 0.125F * top;
    return {.top = top,
            .first = first,
            .step = step,
            .count = 1 + static_cast<int>((kMostClipped - first) / step),
            .rounds = kFitRounds};
  }

  /// Transposes the blocks into the panel, each in its own unit; lanes behind the last are zero.
  void load(const float* x, const float* importance, Index blocks) noexcept {
    const Index size = traits_.size();
    for (Index b = 0; b < per_panel_; ++b, x += size) {
      const bool used = b < blocks;
      float greatest = 0x1p-100F, weight = 0.0F;
      float parts[8]{};  // no maximum waits for the one before it
      for (Index i = 0; used && i < size; ++i) {
        const float magnitude = std::fabs(x[i]);
        float& part = parts[i % 8];
        part = magnitude > part ? magnitude : part;
      }
      for (const float part : parts) greatest = part > greatest ? part : greatest;
      for (Index i = 0; used && importance != nullptr && i < size; ++i) {
        weight = importance[b * size + i] > weight ? importance[b * size + i] : weight;
      }
      // A power of two, so that no weight is rounded; squares of the quotients neither overflow nor underflow.
      unit_[b] = std::ldexp(1.0F, std::ilogb(greatest));
      inverse_unit_[b] = 1.0F / unit_[b];
      for (Index j = 0; j < traits_.sub_blocks; ++j) {
        const Index lane = b * traits_.sub_blocks + j, from = j * panel_.size;
        for (Index i = 0; i < panel_.size; ++i) {
          panel_.x[i * kLanes + lane] = used ? x[from + i] * inverse_unit_[b] : 0.0F;
          panel_.w[i * kLanes + lane] = weight > 0.0F ? importance[b * size + from + i] / weight : 1.0F;
        }
      }
    }
    dispatch(limit_, [&](auto tag) { BlockSearch<decltype(tag)>::measure(panel_); });
  }

  /// On which side of zero offsets may be: a block's minima share the sign of its scale of minima, so the side that
  /// more of the weights' squares are on; a minimum of a block's own has no such limit.
  void choose_direction(BlockLanes& direction) const noexcept {
    for (Index b = 0; b < per_panel_; ++b) {
      const Index first = b * traits_.sub_blocks, end = first + traits_.sub_blocks;
      float below = 0.0F, above = 0.0F;
      for (Index lane = first; lane < end; ++lane) {
        const float low = panel_.low[lane];
        (low < 0.0F ? below : above) += low * low;
      }
      for (Index lane = first; lane < end; ++lane) {
        direction[lane] = !traits_.has_min_codes() ? 0.0F : above > below ? -1.0F : 1.0F;
      }
    }
  }

  /// The fitted scales and offsets as the format stores them, with the best of so many `divisors`.
  void store(const BlockFit& fit, int divisors, BlockStored& out) const noexcept {
    BlockLanes mins;
    for (Index lane = 0; lane < kLanes; ++lane) mins[lane] = -fit.offset[lane];
    for (Index b = 0; b < per_panel_; ++b) {
      const Index first = b * traits_.sub_blocks;
      const float scale = common_factor(fit.scale + first, first, codes_.least_scale, codes_.greatest_scale, b,
                                        divisors, out.scale_code + first);
      const float min =
          common_factor(mins + first, first, codes_.least_min, codes_.greatest_min, b, divisors, out.min_code + first);
      put_block(scale, min, b, out);
    }
  }

  void put_block(float scale, float min, Index b, BlockStored& out) const noexcept {
    for (Index lane = b * traits_.sub_blocks; lane < (b + 1) * traits_.sub_blocks; ++lane) {
      out.scale[lane] = scale;
      out.min[lane] = min;
    }
  }

  /// A number of binary16 and codes in [least, greatest], so that number * codes[j] is near values[j]: the best of
  /// those that put the largest value at an end of the codes, or up to half way from there. `first`: lane of values[0].
  float common_factor(const float* values, Index first, float least, float greatest, Index b, int divisors,
                      float* codes) const noexcept {
    const Index n = traits_.sub_blocks;
    float most = 0.0F;
    for (Index j = 0; j < n; ++j) most = std::fabs(values[j]) > std::fabs(most) ? values[j] : most;
    float best = 0.0F;
    if (least == greatest) {
      best = least == 0.0F ? 0.0F : to_f16(most / least, b);
    } else if (most != 0.0F) {
      float least_error = std::numeric_limits<float>::infinity();
      for (const float end : {least, greatest}) {
        if (end == 0.0F) continue;
        alignas(64) BlockLanes factors{}, errors;
        for (int k = 0; k < divisors; ++k) {
          const float factor = most / (end * (1.0F - 0.5F * static_cast<float>(k) / kDivisors));
          factors[k] = to_f16(factor, b);
          if (factors[k] == 0.0F) factors[k] = std::copysign(kLeastF16, factor) * inverse_unit_[b];
        }
        dispatch(limit_, [&](auto tag) {
          BlockSearch<decltype(tag)>::factor_errors(values, panel_.sum + first, n, factors, least, greatest, errors);
        });
        for (int k = 0; k < divisors; ++k) {
          if (!(errors[k] < least_error)) continue;
          least_error = errors[k];
          best = factors[k];
        }
      }
    }
    for (Index j = 0; j < n; ++j) codes[j] = nearest_code(best != 0.0F ? values[j] / best : 0.0F, least, greatest);
    return best;
  }

  /// The nearest whole number in [least, greatest], half to even. (std::nearbyint is a call at -O2.)
  static float nearest_code(float x, float least, float greatest) noexcept {
    constexpr float kNoFraction = 0x1.8p23F;
    x = x < least ? least : x > greatest ? greatest : x;
    // The last bits of the sum are the number. (Taken away again as a float, -ffast-math would find nothing to do.)
    return static_cast<float>(std::bit_cast<std::int32_t>(x + kNoFraction) - std::bit_cast<std::int32_t>(kNoFraction));
  }

  /// The nearest finite number of binary16, in the unit of block b.
  [[nodiscard]] float to_f16(float x, Index b) const noexcept {
    const float value = x * unit_[b];
    const float held = value < -kGreatestF16 ? -kGreatestF16 : value > kGreatestF16 ? kGreatestF16 : value;
    return half_to_float(float_to_half(held)) * inverse_unit_[b];
  }

  /// Moves codes by up to `reach`, then in `rounds` turns the blocks' scales and codes again, and keeps the best.
  /// `error` is per block.
  void polish(float reach, int rounds, BlockStored& best, double* error) noexcept {
    BlockSums sums;
    settle(reach, best, sums);
    for (Index b = 0; b < per_panel_; ++b) error[b] = error_of(sums, b);
    BlockStored next = best;
    for (int round = 0; round < rounds; ++round) {
      for (Index b = 0; b < per_panel_; ++b) solve(sums, b, next);
      settle(kNextReach, next, sums);
      for (Index b = 0; b < per_panel_; ++b) {
        const double now = error_of(sums, b);
        if (!(now < error[b])) continue;
        error[b] = now;
        copy_block(next, b, best);
      }
    }
  }

  void settle(float reach, BlockStored& stored, BlockSums& sums) const noexcept {
    BlockCodeRange codes = codes_;
    if (traits_.has_scale_codes()) codes.scale_reach = reach;
    if (traits_.has_min_codes()) codes.min_reach = reach;
    dispatch(limit_, [&](auto tag) { BlockSearch<decltype(tag)>::settle(panel_, grid_, codes, stored, sums); });
  }

  [[nodiscard]] double error_of(const BlockSums& sums, Index b) const noexcept {
    double error = 0.0;
    for (Index j = 0; j < traits_.sub_blocks; ++j) error += static_cast<double>(sums.error[b * traits_.sub_blocks + j]);
    return error;
  }

  /// What is lost if all weights of block b become zero.
  [[nodiscard]] double error_of_zeros(Index b) const noexcept {
    double error = 0.0;
    for (Index lane = b * traits_.sub_blocks; lane < (b + 1) * traits_.sub_blocks; ++lane) {
      error += static_cast<double>(panel_.xx[lane]);
    }
    return error;
  }

  void copy_block(const BlockStored& from, Index b, BlockStored& to) const noexcept {
    for (Index lane = b * traits_.sub_blocks; lane < (b + 1) * traits_.sub_blocks; ++lane) {
      to.scale[lane] = from.scale[lane];
      to.min[lane] = from.min[lane];
      to.scale_code[lane] = from.scale_code[lane];
      to.min_code[lane] = from.min_code[lane];
    }
  }

  /// The block's least-squares scale and minimum for the codes that it has: x ~ scale * (s q) - min * m.
  void solve(const BlockSums& sums, Index b, BlockStored& stored) const noexcept {
    double ss = 0.0, sm = 0.0, mm = 0.0, sx = 0.0, mx = 0.0;
    const Index first = b * traits_.sub_blocks;
    for (Index lane = first; lane < first + traits_.sub_blocks; ++lane) {
      const auto s = static_cast<double>(stored.scale_code[lane]), m = static_cast<double>(stored.min_code[lane]);
      ss += s * s * static_cast<double>(sums.qq[lane]);
      sm += s * m * static_cast<double>(sums.q[lane]);
      mm += m * m * static_cast<double>(panel_.sum[lane]);
      sx += s * static_cast<double>(sums.qx[lane]);
      mx += m * static_cast<double>(panel_.x1[lane]);
    }
    constexpr double kSingular = 1e-9;
    auto scale = static_cast<double>(stored.scale[first]);
    float min = stored.min[first];
    const double determinant = ss * mm - sm * sm;
    if (determinant > kSingular * ss * mm) min = to_f16(static_cast<float>((sm * sx - ss * mx) / determinant), b);
    // The best scale for the minimum that binary16 has.
    if (ss > 0.0) scale = (sx + sm * static_cast<double>(min)) / ss;
    put_block(to_f16(static_cast<float>(scale), b), min, b, stored);
  }

  void finish(Index blocks, const BlockStored& best, BlockFields* out) noexcept {
    std::uint8_t codes[BlockPanel::kMaxSize * kLanes];
    dispatch(limit_, [&](auto tag) {
      BlockSearch<decltype(tag)>::encode(panel_, grid_, best, static_cast<float>(traits_.unused_levels), codes);
    });
    for (Index b = 0; b < blocks; ++b, ++out) {
      const Index first = b * traits_.sub_blocks;
      out->scale = float_to_half(best.scale[first] * unit_[b]);
      out->min = float_to_half(best.min[first] * unit_[b]);
      for (Index j = 0; j < traits_.sub_blocks; ++j) {
        out->scales[j] = static_cast<std::int8_t>(best.scale_code[first + j]);
        out->mins[j] = static_cast<std::int8_t>(best.min_code[first + j]);
        for (Index i = 0; i < panel_.size; ++i) out->codes[j * panel_.size + i] = codes[i * kLanes + first + j];
      }
    }
  }

  static constexpr float kLeastF16 = 0x1p-24F;
  static constexpr float kGreatestF16 = 65504.0F;

  const BlockTraits& traits_;
  Isa limit_;
  Index per_panel_;
  BlockGrid grid_;
  BlockCodeRange codes_;
  BlockPanel panel_;
  float unit_[kLanes], inverse_unit_[kLanes];
};

}  // namespace sinq::inline SINQ_ABI::detail
