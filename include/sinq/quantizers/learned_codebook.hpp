#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/quantizers/group_quantizer.hpp>
#include <sinq/quantizers/least_squares.hpp>

#include <array>
#include <span>

namespace sinq::inline SINQ_ABI {

/// 2^bits levels of the matrix's own, stored with it: Lloyd iterations on a sample of normalized groups, alternated
/// with the groups' scales and offsets, each group's error weighted by its scale. The groups of the whole matrix are
/// then fitted to those levels as `Fitted` fits the even grid.
class LearnedCodebook {
 public:
  static constexpr FitScope kFitScope = FitScope::kRows;

  int bits = 4;
  Symmetry symmetry = Symmetry::kAsymmetric;
  int iterations = 20;  ///< of Lloyd's algorithm
  int rounds = 3;       ///< least-squares refinements of each start of a group

  LearnedCodebook() { set_levels(even_levels()); }
  explicit LearnedCodebook(int code_bits, Symmetry code_symmetry = Symmetry::kAsymmetric)
      : bits(code_bits), symmetry(code_symmetry) {
    set_levels(even_levels());
  }

  friend bool operator==(const LearnedCodebook&, const LearnedCodebook&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    if (bits < 1 || bits > 8) {
      SINQ_THROW(Errc::kBadConfig, detail::text("LearnedCodebook: bits ", bits, " is not in 1..8"));
    }
    if (iterations < 1 || iterations > 1000) {
      SINQ_THROW(Errc::kBadConfig, detail::text("LearnedCodebook: iterations ", iterations, " is not in 1..1000"));
    }
    if (rounds < 0 || rounds > 100) {
      SINQ_THROW(Errc::kBadConfig, detail::text("LearnedCodebook: rounds ", rounds, " is not in 0..100"));
    }
  }

  CodeFormat format() const&& = delete;  // it points into this object
  [[nodiscard]] CodeFormat format() const& noexcept {
    return {.bits = bits, .symmetry = symmetry, .levels = {levels_.data(), count()}};
  }

  /// Learns the levels from normalized groups [groups][group_size], one to a row.
  void learn(const TileView& groups, Scratch& scratch, Isa limit) {
    detail::Vector<float> levels = even_levels();
    detail::Vector<float> scale(static_cast<std::size_t>(round_up(groups.rows, kTileStride))), zero(scale.size());
    detail::Vector<double> sum(levels.size()), weight(levels.size());
    const GroupParams params{scale.data(), zero.data(), groups.rows};
    for (int i = 0; i < iterations; ++i) {
      set_levels(levels);
      // The groups need not be fitted to the end between two steps of the levels.
      fit_groups(groups, groups.cols, params, kStarts, 1, scratch, limit);
      std::fill(sum.begin(), sum.end(), 0.0);
      std::fill(weight.begin(), weight.end(), 0.0);
      for (Index r = 0; r < groups.rows; ++r) {
        const float a = scale[static_cast<std::size_t>(r)], z = zero[static_cast<std::size_t>(r)];
        if (a == 0.0F) continue;  // all zeros
        const auto w = static_cast<double>(a) * static_cast<double>(a);
        for (Index c = 0; c < groups.cols; ++c) {
          const float u = groups.row(r)[c] / a + z;
          const std::size_t k = nearest(u);
          sum[k] += w * static_cast<double>(u);
          weight[k] += w;
        }
      }
      for (std::size_t k = 0; k < levels.size(); ++k) {
        if (weight[k] > 0.0) levels[k] = static_cast<float>(sum[k] / weight[k]);
      }
      std::sort(levels.begin(), levels.end());  // an empty level may have been overtaken
    }
    set_levels(levels);
  }

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const {
    fit_groups(tile, group_size, params, kStarts, rounds, scratch, limit);
  }

  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const {
    dispatch(limit, [&](auto tag) {
      detail::GroupKernels<decltype(tag)>::encode_levels(tile, group_size, params, midpoints_.data(), bits, codes,
                                                         code_stride);
    });
  }

 private:
  [[nodiscard]] std::size_t count() const noexcept { return std::size_t{1} << bits; }

  [[nodiscard]] detail::Vector<float> even_levels() const {
    detail::Vector<float> levels(bits >= 1 && bits <= 8 ? count() : 2);
    for (std::size_t k = 0; k < levels.size(); ++k) {
      levels[k] = 2.0F * static_cast<float>(k) / static_cast<float>(levels.size() - 1) - 1.0F;
    }
    return levels;
  }

  void set_levels(const detail::Vector<float>& levels) {
    midpoints_.fill(std::numeric_limits<float>::infinity());
    std::copy(levels.begin(), levels.end(), levels_.begin());
    for (std::size_t k = 0; k + 1 < levels.size(); ++k) midpoints_[k] = 0.5F * (levels[k] + levels[k + 1]);
  }

  [[nodiscard]] std::size_t nearest(float u) const noexcept {
    std::size_t index = 0;
    for (std::size_t step = count() / 2; step != 0; step /= 2) index += midpoints_[index + step - 1] < u ? step : 0;
    return index;
  }

  void fit_groups(const TileView& tile, Index group_size, const GroupParams& params, std::span<const float> clips,
                  int refinements, Scratch& scratch, Isa limit) const {
    const float lowest = levels_[0], highest = levels_[count() - 1];
    const detail::FitGrid grid{lowest, highest, levels_.data(), midpoints_.data(), bits};
    detail::FitPlan plan{.clips = clips.data(),
                         .starts = static_cast<int>(clips.size()),
                         .rounds = refinements,
                         .least_scale = kMinMagnitude * tile.unit,
                         .symmetry = symmetry,
                         .reach_above = std::max(highest, 1e-3F),
                         .reach_below = std::max(-lowest, 1e-3F)};
    float* columns = scratch.floats(std::min(group_size, tile.cols) * kTileStride);
    dispatch(limit, [&](auto tag) {
      for (Index g = 0, c = 0; c < tile.cols; ++g, c += group_size) {
        plan.col_weights = tile.col_weights == nullptr ? nullptr : tile.col_weights + c;
        detail::LeastSquares<decltype(tag)>::fit(tile, c, std::min(group_size, tile.cols - c), grid, plan,
                                                 params.scale + g * params.stride,
                                                 params.zero_point + g * params.stride, columns);
      }
    });
  }

  /// Fractions of a group's range that fits start from, also while levels are learned: with three of them the error of
  /// 4-bit levels is 2% higher.
  static constexpr std::array kStarts{1.1F, 1.0F, 0.93F, 0.86F, 0.79F, 0.72F, 0.65F};

  /// Least scale of a group, in units of the tile.
  static constexpr float kMinMagnitude = 1e-4F;

  std::array<float, 256> levels_{};
  std::array<float, 256> midpoints_{};
};

}  // namespace sinq::inline SINQ_ABI
