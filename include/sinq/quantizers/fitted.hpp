#pragma once

#include <sinq/compiled.hpp>
#include <sinq/quantizers/uniform.hpp>

namespace sinq::inline SINQ_ABI {

/// An even grid whose scale and real zero point minimise the squared error of the group: several clipped ranges, each
/// refined by alternating rounding and least squares. In the normalized tile, where plain squared error already stands
/// for the error of the layer's output (the paper's Fig. 3).
struct Fitted {
  static constexpr FitScope kFitScope = FitScope::kRows;

  int bits = 4;
  Symmetry symmetry = Symmetry::kAsymmetric;
  int rounds = 8;  ///< least-squares refinements of each start

  friend bool operator==(const Fitted&, const Fitted&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (bits < 1 || bits > 8) SINQ_THROW(Errc::kBadConfig, detail::text("Fitted: bits ", bits, " is not in 1..8"));
    if (rounds < 0 || rounds > 100) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Fitted: rounds ", rounds, " is not in 0..100"));
    }
  }

  [[nodiscard]] CodeFormat format() const noexcept { return uniform().format(); }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const;

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const;

 private:
  [[nodiscard]] Uniform uniform() const noexcept { return {.bits = bits, .symmetry = symmetry}; }
};

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(SEARCH)
#include <sinq/quantizers/least_squares.hpp>

namespace sinq::inline SINQ_ABI {

SINQ_DECL void Fitted::fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                           Isa limit) const {
  // Wider than the range never helps; below six tenths of it a normal group of 64 loses more at its ends.
  static constexpr float kClips[] = {1.0F, 0.92F, 0.84F, 0.76F, 0.68F, 0.6F};
  const float top = static_cast<float>((1 << bits) - 1);
  const float zero = format().shared_zero_point;
  const detail::FitGrid grid{.lowest = 0.0F, .highest = top, .bits = bits};
  detail::FitPlan plan{.clips = kClips,
                       // With many levels the range's ends are worth keeping: two starts find the same grid.
                       .starts = bits >= 6   ? 2
                                 : bits >= 4 ? 4
                                             : 6,
                       .rounds = rounds,
                       .least_scale = Uniform::kMinRange * tile.unit / top,
                       .symmetry = symmetry,
                       .shared_zero_point = zero,
                       .reach_above = top - zero + 0.5F,
                       .reach_below = zero + 0.5F};
  float* columns = scratch.floats(std::min(group_size, tile.cols) * kTileStride);
  dispatch(limit, [&](auto tag) {
    for (Index g = 0, c = 0; c < tile.cols; ++g, c += group_size) {
      plan.col_weights = tile.col_weights == nullptr ? nullptr : tile.col_weights + c;
      detail::LeastSquares<decltype(tag)>::fit(tile, c, std::min(group_size, tile.cols - c), grid, plan,
                                               params.scale + g * params.stride, params.zero_point + g * params.stride,
                                               columns);
    }
  });
}

SINQ_DECL void Fitted::encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes,
                              Index code_stride, Isa limit) const {
  uniform().encode(tile, group_size, params, codes, code_stride, limit);
}

}  // namespace sinq::inline SINQ_ABI
#endif
