#pragma once

#include <sinq/error.hpp>
#include <sinq/isa.hpp>
#include <sinq/tile.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>

namespace sinq::inline SINQ_ABI {

/// Where an asymmetric group's zero point may lie.
enum class ZeroPoint : std::uint8_t {
  kReal,     ///< anywhere: the range's ends are levels (KL 3% lower at 3 and 4 bits on a 29M model, 11% at 2)
  kInteger,  ///< on a level, as in the reference
};

/// What a quantizer's codes mean: enough for container, kernels and files to decode them without knowing the quantizer.
struct CodeFormat {
  int bits = 4;                                   ///< per code, 1..8 (the lane trellis: 0)
  Symmetry symmetry = Symmetry::kAsymmetric;      ///< whether groups store a zero point
  ZeroPoint zero_point = ZeroPoint::kReal;        ///< integer ones must survive the rounding of scales
  float shared_zero_point = 0.0F;                 ///< of all groups if symmetric
  std::span<const float> levels = {};             ///< [2^bits], ascending; empty: a code is its own level
  std::span<const std::int8_t> byte_levels = {};  ///< [3][16] of the lane trellis
  int quarter_bits = 0;  ///< rate of the lane trellis (then bits is 0), in quarters of a bit; else 0

  /// As `Layout` counts them.
  [[nodiscard]] Index level_count() const noexcept { return static_cast<Index>(levels.size() + byte_levels.size()); }
  /// Steps between levels of an even grid about as fine: 2^bits - 1.
  [[nodiscard]] float steps() const noexcept {
    return std::exp2(quarter_bits != 0 ? 0.25F * static_cast<float>(quarter_bits) : static_cast<float>(bits)) - 1.0F;
  }
};

/// Scale and zero point of one group: w ~ (level - zero_point) * scale.
struct GroupFit {
  float scale = 1.0F;
  float zero_point = 0.0F;
};

/// What a user writes to bring a quantizer of their own: one group at a time.
///
///   struct Ternary {
///     void validate() const {}
///     CodeFormat format() const;                         // levels, if any, must live as long as the quantizer
///     GroupFit fit(std::span<const float> group) const;  // the normalized weights of one group
///   };
///
/// Codes are then the nearest levels under the *stored* scale and zero point.
template <class Q>
concept GroupQuantizer = std::copyable<Q> && requires(const Q& q, std::span<const float> group) {
  {q.validate()};
  { q.format() } -> std::same_as<CodeFormat>;
  { q.fit(group) } -> std::same_as<GroupFit>;
};

/// How many rows a quantizer must see at once.
enum class FitScope : std::uint8_t {
  kRows,  ///< rows are independent: the pipeline hands over as many as the first cache holds
  kTile,  ///< one decision for the whole tile
};

/// What the pipeline runs: whole runs of rows at once, so that SIMD can work on sixteen rows. `fit` writes the params
/// of every group of `tile`; `encode` writes codes [rows][cols], `code_stride` apart, against the params it is given.
template <class Q>
concept TileQuantizer = std::copyable<Q> &&
    requires(const Q& q, const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes,
             Index code_stride, Scratch& scratch, Isa limit) {
  {q.validate()};
  { q.format() } -> std::same_as<CodeFormat>;
  { Q::kFitScope } -> std::convertible_to<FitScope>;
  {q.fit(tile, group_size, params, scratch, limit)};
  {q.encode(tile, group_size, params, codes, code_stride, limit)};
};

/// A quantizer that learns from the normalized matrix before it fits: `learn` sees a sample of groups
/// [groups][group_size], one to a row. Its format's number of levels does not change.
template <class Q>
concept LearningQuantizer = TileQuantizer<Q> && requires(Q& q, const TileView& groups, Scratch& scratch, Isa limit) {
  {q.learn(groups, scratch, limit)};
};

namespace detail {

/// The code nearest to `value` (in level units) in a format; ties go to the even code, or to the lower level of a
/// table.
[[nodiscard]] inline std::uint8_t nearest_code(const CodeFormat& format, float value) noexcept {
  if (format.levels.empty()) {
    const float top = static_cast<float>((1 << format.bits) - 1);
    return static_cast<std::uint8_t>(std::nearbyint(std::clamp(value, 0.0F, top)));
  }
  const auto above = std::lower_bound(format.levels.begin(), format.levels.end(), value);
  if (above == format.levels.begin()) return 0;
  const auto below = above - 1;
  const bool up = above != format.levels.end() && *above - value < value - *below;
  const float chosen = up ? *above : *below;
  // Tables are padded with repeats of the last level: the first of equals is the code.
  return static_cast<std::uint8_t>(std::lower_bound(format.levels.begin(), format.levels.end(), chosen) -
                                   format.levels.begin());
}

}  // namespace detail

/// Lifts a quantizer that was written for one group to the tiles of the pipeline.
template <GroupQuantizer Q>
struct PerGroup {
  static constexpr FitScope kFitScope = FitScope::kRows;
  Q quantizer;

  void validate() const { quantizer.validate(); }
  [[nodiscard]] CodeFormat format() const { return quantizer.format(); }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch&, Isa) const {
    for_each_group(tile, group_size, [&](Index r, Index g, std::span<const float> group) {
      const GroupFit fit = quantizer.fit(group);
      params.scale[g * params.stride + r] = fit.scale;
      params.zero_point[g * params.stride + r] = fit.zero_point;
    });
  }

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa) const {
    const CodeFormat format = quantizer.format();
    for_each_group(tile, group_size, [&](Index r, Index g, std::span<const float> group) {
      const float scale = params.scale[g * params.stride + r];
      const float inverse = scale == 0.0F ? 0.0F : 1.0F / scale;
      std::uint8_t* out = codes + r * code_stride + g * group_size;
      for (const float w : group)
        *out++ = detail::nearest_code(format, w * inverse + params.zero_point[g * params.stride + r]);
    });
  }

 private:
  template <class F>
  static void for_each_group(const TileView& tile, Index group_size, F f) {
    for (Index r = 0; r < tile.rows; ++r) {
      for (Index g = 0, c = 0; c < tile.cols; ++g, c += group_size) {
        const auto count = static_cast<std::size_t>(std::min(group_size, tile.cols - c));
        f(r, g, std::span<const float>(tile.row(r) + c, count));
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI
