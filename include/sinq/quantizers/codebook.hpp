#pragma once

#include <sinq/finite.hpp>
#include <sinq/quantizers/group_kernels.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

#include <limits>

namespace sinq::inline SINQ_ABI {

/// Round to the nearest of 2 to 256 levels. A group's scale makes its largest deviation from its mean (asymmetric; the
/// mean becomes the zero point) or from zero (symmetric) meet the outermost level.
class Codebook {
 public:
  static constexpr FitScope kFitScope = FitScope::kRows;
  static constexpr Index kMaxLevels = 256;
  /// Least magnitude of a group, in units of the tile (the reference's floor).
  static constexpr float kMinMagnitude = 1e-4F;

  Symmetry symmetry = Symmetry::kAsymmetric;
  /// The outermost level stands for this fraction of the largest magnitude; what lies beyond is clipped.
  float clip = 1.0F;

  Codebook() = default;

  /// From 2..256 ascending levels; equal neighbours are allowed, the first of them is used. `validate` checks them.
  constexpr explicit Codebook(std::span<const float> levels) noexcept : Codebook(levels.data(), levels.size()) {}
  template <std::size_t N>
  constexpr explicit Codebook(const std::array<float, N>& levels) noexcept : Codebook(levels.data(), N) {}

  [[nodiscard]] constexpr Codebook with(Symmetry value) const noexcept {
    Codebook out = *this;
    out.symmetry = value;
    return out;
  }
  [[nodiscard]] constexpr Codebook with_clip(float value) const noexcept {
    Codebook out = *this;
    out.clip = value;
    return out;
  }

  [[nodiscard]] constexpr int bits() const noexcept { return bits_; }
  /// The distinct positions that were given.
  [[nodiscard]] constexpr std::span<const float> levels() const noexcept {
    return {levels_.data(), static_cast<std::size_t>(count_)};
  }

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (count_ < 2 || count_ > kMaxLevels) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Codebook: ", count_, " levels are not 2..256"));
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count_); ++i) {
      if (!is_finite(levels_[i])) {
        SINQ_THROW(Errc::kBadConfig, detail::text("Codebook: level ", i, " is ", levels_[i], ", not finite"));
      }
      if (i > 0 && levels_[i] < levels_[i - 1]) {
        SINQ_THROW(Errc::kBadConfig, detail::text("Codebook: level ", i, " = ", levels_[i],
                                                  " is below its predecessor ", levels_[i - 1], "; levels ascend"));
      }
    }
    if (!(reach() > 0.0F)) SINQ_THROW(Errc::kBadConfig, "Codebook: all levels are zero");
    if (!is_positive(clip) || clip > 1.0F) {
      SINQ_THROW(Errc::kBadConfig, detail::text("Codebook: clip ", clip, " is not in (0, 1]"));
    }
  }

  CodeFormat format() const&& = delete;  // it points into this object
  [[nodiscard]] CodeFormat format() const& noexcept {
    return {.bits = bits_,
            .symmetry = symmetry,
            .shared_zero_point = 0.0F,
            .levels = {levels_.data(), std::size_t{1} << bits_}};
  }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const {
    detail::for_each_group_stats(
        tile, group_size, scratch, limit, [&](Index g, Index count, const detail::GroupStats& stats) {
          float* scale = params.scale + g * params.stride;
          float* zero = params.zero_point + g * params.stride;
          const float to_level = clip / reach();
          const float inverse_count = 1.0F / static_cast<float>(count);
          for (Index r = 0; r < tile.rows; ++r) {
            const float mean = symmetry == Symmetry::kAsymmetric ? stats.sum[r] * inverse_count : 0.0F;
            const float magnitude = std::max(stats.high[r] - mean, mean - stats.low[r]);
            scale[r] = std::max(magnitude, kMinMagnitude * tile.unit) * to_level;
            zero[r] = -mean / scale[r];
          }
        });
  }

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const {
    dispatch(limit, [&](auto tag) {
      detail::GroupKernels<decltype(tag)>::encode_levels(tile, group_size, params, midpoints_.data(), bits_, codes,
                                                         code_stride);
    });
  }

  friend bool operator==(const Codebook&, const Codebook&) = default;

 private:
  // No span, which constant expressions cannot make of a temporary array under _GLIBCXX_DEBUG.
  constexpr Codebook(const float* levels, std::size_t count) noexcept : count_(static_cast<Index>(count)) {
    if (count_ < 2 || count_ > kMaxLevels) return;
    while ((Index{1} << bits_) < count_) ++bits_;
    const std::size_t last = count - 1;
    for (std::size_t i = 0; i < kMaxLevels; ++i) {
      levels_[i] = levels[i < last ? i : last];
      // No midpoint above a repeated level: nothing is ever greater, so the first of equals is chosen.
      const bool distinct = i < last && levels[i] != levels[i + 1];
      midpoints_[i] = distinct ? levels[i] * 0.5F + levels[i + 1] * 0.5F : std::numeric_limits<float>::infinity();
    }
    // An inner pair of equals has the midpoint of the next distinct level.
    for (std::size_t i = last; i-- > 0;) {
      if (levels[i] == levels[i + 1]) midpoints_[i] = midpoints_[i + 1];
    }
  }

  [[nodiscard]] float reach() const noexcept {
    return std::max(std::fabs(levels_[0]), std::fabs(levels_[static_cast<std::size_t>(count_ - 1)]));
  }

  Index count_ = 0;
  int bits_ = 1;
  std::array<float, kMaxLevels> levels_{};
  std::array<float, kMaxLevels> midpoints_{};
};

}  // namespace sinq::inline SINQ_ABI
