#pragma once

#include <sinq/detail/simd_math.hpp>
#include <sinq/finite.hpp>
#include <sinq/quantizers/uniform.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI::detail {

struct HqqGroup {
  float inverse_scale, zero_point;
};
struct HqqSettings {
  int iterations;
  float top, inverse_unit, threshold, p, inverse_beta;
};

template <class Tag>
struct HqqSteps;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/quantizers/hqq_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
#include <sinq/detail/vector.hpp>

namespace sinq::inline SINQ_ABI {

/// Half-Quadratic Quantization (Badri & Shaji, 2023): a uniform grid whose zero points are refined by proximal steps
/// for an l_p norm of the error. One iterate is chosen for a tile by its mean absolute error, as in the SINQ reference;
/// codes are then rounded with that iterate's zero points, so the two belong together (the reference returns codes of
/// the last iterate instead). With one bit, the levels of Uniform, moved where that has less squared error.
struct Hqq {
  static constexpr FitScope kFitScope = FitScope::kTile;
  /// The reference's limits of the inverse scale, per unit of the tile; below kMinRange a group keeps inverse scale 1.
  static constexpr float kMinRange = 1e-4F;
  static constexpr float kMaxInverseScale = 2e4F;

  int bits = 4;
  int iterations = 20;
  float p = 0.7F;      ///< of the l_p norm
  float beta = 10.0F;  ///< weight of the quadratic term; fixed
  Division division = Division::kReciprocal;

  friend bool operator==(const Hqq&, const Hqq&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (bits < 1 || bits > 8) SINQ_THROW(Errc::kBadConfig, detail::text("Hqq: bits ", bits, " is not in 1..8"));
    if (iterations < 1 || iterations > 1000) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Hqq: iterations ", iterations, " is not in 1..1000"));
    }
    if (!is_positive(p) || p > 1.0F) SINQ_THROW(Errc::kBadConfig, detail::text("Hqq: p ", p, " is not in (0, 1]"));
    if (!is_positive(beta)) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Hqq: beta ", beta, " is not positive and finite"));
    }
  }

  [[nodiscard]] CodeFormat format() const noexcept { return {.bits = bits}; }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const {
    const float inverse_unit = 1.0F / tile.unit;
    const float top = static_cast<float>((1 << bits) - 1);
    start(tile, group_size, params, scratch, limit);
    const detail::HqqSettings settings{iterations, top,        inverse_unit, std::pow(1.0F / beta, 1.0F / (2.0F - p)),
                                       p,          1.0F / beta};
    const Index groups = ceil_div(tile.cols, group_size);
    float* zero_points = scratch.floats(groups * tile.rows * iterations);
    detail::Vector<double> error(static_cast<std::size_t>(iterations), 0.0);
    dispatch(limit, [&](auto tag) {
      float* out = zero_points;
      for (Index g = 0; g < groups; ++g) {
        for (Index r = 0; r < tile.rows; ++r, out += iterations) {
          const Index at = g * params.stride + r;
          detail::HqqSteps<decltype(tag)>::run(tile.row(r) + g * group_size,
                                               std::min(group_size, tile.cols - g * group_size),
                                               {params.scale[at], params.zero_point[at]}, settings, out, error.data());
        }
      }
    });
    const auto best = std::min_element(error.begin(), error.end()) - error.begin();
    for (Index g = 0; g < groups; ++g) {
      for (Index r = 0; r < tile.rows; ++r) {
        const Index at = g * params.stride + r;
        const float refined = zero_points[(g * tile.rows + r) * iterations + best];
        params.scale[at] = tile.unit / params.scale[at];
        // Two levels can only lose squared error to the l_p norm, which is happy with one of them on most weights.
        const auto lost = [&](float zero) {
          return two_level_error(tile.row(r) + g * group_size, std::min(group_size, tile.cols - g * group_size),
                                 params.scale[at], zero);
        };
        if (bits > 1 || lost(refined) < lost(params.zero_point[at])) params.zero_point[at] = refined;
      }
    }
  }

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const {
    Uniform{.bits = bits, .division = division}.encode(tile, group_size, params, codes, code_stride, limit);
  }

 private:
  /// Inverse scales, in units of the tile, and the zero points to begin with: of the range, as in the reference; with
  /// one bit, whose levels would be the two extremes then, Uniform's pair.
  void start(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const {
    if (bits == 1) {
      Uniform{.bits = 1}.fit(tile, group_size, params, scratch, limit);
      for (Index g = 0; g < ceil_div(tile.cols, group_size); ++g) {
        float* scale = params.scale + g * params.stride;
        std::transform(scale, scale + tile.rows, scale, [&](float x) { return tile.unit / x; });
      }
      return;
    }
    const float inverse_unit = 1.0F / tile.unit;
    const float top = static_cast<float>((1 << bits) - 1);
    detail::for_each_group_stats(tile, group_size, scratch, limit,
                                 [&](Index g, Index, const detail::GroupStats& stats) {
                                   for (Index r = 0; r < tile.rows; ++r) {
                                     const float range = (stats.high[r] - stats.low[r]) * inverse_unit;
                                     float inverse = range <= kMinRange ? 1.0F : top / range;
                                     inverse = std::clamp(std::min(inverse, kMaxInverseScale), 1e-5F, 1e5F);
                                     params.scale[g * params.stride + r] = inverse;
                                     params.zero_point[g * params.stride + r] = -stats.low[r] * inverse_unit * inverse;
                                   }
                                 });
  }

  [[nodiscard]] static double two_level_error(const float* x, Index count, float scale, float zero) noexcept {
    double error = 0.0;
    for (Index c = 0; c < count; ++c) {
      const float low = -zero * scale, high = (1.0F - zero) * scale;
      const auto d = static_cast<double>(std::min(std::fabs(x[c] - low), std::fabs(x[c] - high)));
      error += d * d;
    }
    return error;
  }
};

}  // namespace sinq::inline SINQ_ABI
