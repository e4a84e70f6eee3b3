#pragma once

#include <sinq/compiled.hpp>
#include <sinq/quantizers/division.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

namespace sinq::inline SINQ_ABI {

namespace detail {
struct GroupStats;
}

/// Which levels a symmetric group uses.
enum class SymmetricRange : std::uint8_t {
  kFull,       ///< all 2^bits: -2^(bits-1) .. 2^(bits-1) - 1, no weight further than half a step from a level
  kReference,  ///< the reference's "noz": 2^bits - 3 of them, +-(floor((2^bits - 1) / 2) - 1); needs 3 bits
};

/// Round to nearest on an even grid between a group's least and greatest weight.
struct Uniform {
  static constexpr FitScope kFitScope = FitScope::kRows;
  /// Least range of a group and least symmetric magnitude, in units of the tile (the reference's floors).
  static constexpr float kMinRange = 1e-4F;
  static constexpr float kMinMagnitude = 1e-5F;

  int bits = 4;
  Symmetry symmetry = Symmetry::kAsymmetric;
  ZeroPoint zero_point = ZeroPoint::kReal;
  SymmetricRange symmetric_range = SymmetricRange::kFull;
  Division division = Division::kReciprocal;

  friend bool operator==(const Uniform&, const Uniform&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (bits < 1 || bits > 8) SINQ_THROW(Errc::kBadConfig, detail::text("Uniform: bits ", bits, " is not in 1..8"));
    if (reference_symmetric() && bits < 3) {
      SINQ_THROW(Errc::kBadConfig,
                 detail::text("Uniform: bits ", bits, " leaves SymmetricRange::kReference no level; it needs 3..8"));
    }
  }

  [[nodiscard]] CodeFormat format() const noexcept {
    return {.bits = bits, .symmetry = symmetry, .zero_point = zero_point, .shared_zero_point = middle()};
  }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const;

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const;

 private:
  [[nodiscard]] float top() const noexcept {
    return reference_symmetric() ? 2.0F * middle() - 1.0F : static_cast<float>((1 << bits) - 1);
  }
  [[nodiscard]] bool reference_symmetric() const noexcept {
    return symmetry == Symmetry::kSymmetric && symmetric_range == SymmetricRange::kReference;
  }
  /// The code of zero in a symmetric group. One bit has no level to spare for zero: +-scale / 2.
  [[nodiscard]] float middle() const noexcept {
    if (reference_symmetric()) return static_cast<float>(((1 << bits) - 1) / 2);
    return bits == 1 ? 0.5F : static_cast<float>(1 << (bits - 1));
  }

  void fit_magnitude(const TileView& tile, const detail::GroupStats& stats, float* scale, float* zero) const noexcept;

  /// One bit: the mean (asymmetric) or zero, plus or minus the mean distance from it, which has the least squared error
  /// of all pairs of levels around that centre.
  void fit_two_levels(const TileView& tile, Index col, Index count, const detail::GroupStats& stats, float* scale,
                      float* zero) const noexcept;
};

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(QUANTIZE)
#include <sinq/quantizers/group_kernels.hpp>

namespace sinq::inline SINQ_ABI {

SINQ_DECL void Uniform::fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                            Isa limit) const {
  detail::for_each_group_stats(
      tile, group_size, scratch, limit, [&](Index g, Index count, const detail::GroupStats& stats) {
        float* scale = params.scale + g * params.stride;
        float* zero = params.zero_point + g * params.stride;
        if (bits == 1 && (zero_point == ZeroPoint::kReal || symmetry == Symmetry::kSymmetric)) {
          fit_two_levels(tile, g * group_size, count, stats, scale, zero);
        } else if (symmetry == Symmetry::kAsymmetric) {
          dispatch(limit, [&](auto tag) {
            detail::GroupKernels<decltype(tag)>::fit_range(tile.rows, stats, kMinRange * tile.unit, top(),
                                                           zero_point == ZeroPoint::kInteger, scale, zero);
          });
        } else {
          fit_magnitude(tile, stats, scale, zero);
        }
      });
}

SINQ_DECL void Uniform::encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes,
                               Index code_stride, Isa limit) const {
  dispatch(limit, [&](auto tag) {
    using Kernels = detail::GroupKernels<decltype(tag)>;
    if (division == Division::kExact) {
      Kernels::template encode_uniform<Division::kExact>(tile, group_size, params, top(), codes, code_stride);
    } else {
      Kernels::template encode_uniform<Division::kReciprocal>(tile, group_size, params, top(), codes, code_stride);
    }
  });
}

SINQ_DECL void Uniform::fit_magnitude(const TileView& tile, const detail::GroupStats& stats, float* scale,
                                      float* zero) const noexcept {
  const float half = static_cast<float>(1 << (bits - 1));
  for (Index r = 0; r < tile.rows; ++r) {
    const float high = std::max(stats.high[r], 0.0F);
    const float low = std::max(-stats.low[r], 0.0F);
    if (reference_symmetric()) {
      scale[r] = std::max(std::max(high, low), kMinMagnitude * tile.unit) / (middle() - 1.0F);
    } else {
      // The outermost levels lie half a step inside the range on either side.
      scale[r] = std::max(std::max(high / (half - 0.5F), low / (half + 0.5F)), kMinMagnitude * tile.unit / half);
    }
    zero[r] = middle();
  }
}

SINQ_DECL void Uniform::fit_two_levels(const TileView& tile, Index col, Index count, const detail::GroupStats& stats,
                                       float* scale, float* zero) const noexcept {
  for (Index r = 0; r < tile.rows; ++r) {
    const float centre = symmetry == Symmetry::kAsymmetric ? stats.sum[r] / static_cast<float>(count) : 0.0F;
    float distance = 0.0F;
    for (Index c = 0; c < count; ++c) distance += std::fabs(tile.row(r)[col + c] - centre);
    scale[r] = std::max(2.0F * distance / static_cast<float>(count), kMinMagnitude * tile.unit);
    zero[r] = 0.5F - centre / scale[r];
  }
}

}  // namespace sinq::inline SINQ_ABI
#endif
