#pragma once

#include <sinq/block_formats/block_format.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace sinq::test {

/// What a block format makes of a row in the plainest way: each sub-block's range from its extreme weights, scales and
/// minima rounded to the nearest code under the block's largest, levels the nearest. In double, slowly.
class ReferenceBlocks {
 public:
  explicit ReferenceBlocks(BlockFormat format) : traits_(detail::block_traits(format)) {
    for (int level = traits_.least_level + traits_.unused_levels; level <= traits_.greatest_level; ++level) {
      levels_.push_back(traits_.levels != nullptr ? static_cast<double>(traits_.levels[level]) : level);
    }
  }

  /// The weights that a reader would get.
  [[nodiscard]] std::vector<double> quantized(const std::vector<float>& row) const {
    std::vector<double> out;
    const auto size = static_cast<std::size_t>(traits_.size());
    for (std::size_t at = 0; at < row.size(); at += size) {
      const std::vector<double> block(row.begin() + static_cast<std::ptrdiff_t>(at),
                                      row.begin() + static_cast<std::ptrdiff_t>(at + size));
      const std::vector<double> values = quantized_block(block);
      out.insert(out.end(), values.begin(), values.end());
    }
    return out;
  }

 private:
  [[nodiscard]] std::vector<double> quantized_block(const std::vector<double>& x) const {
    const auto subs = static_cast<std::size_t>(traits_.sub_blocks), n = static_cast<std::size_t>(traits_.sub_size);
    std::vector<double> scales(subs), mins(subs);
    for (std::size_t j = 0; j < subs; ++j) {
      const double* sub = x.data() + j * n;
      const double low = *std::min_element(sub, sub + n), high = *std::max_element(sub, sub + n);
      if (traits_.has_min()) {
        const double floor = traits_.has_min_codes() ? std::min(low, 0.0) : low;
        scales[j] = (std::max(high, floor) - floor) / levels_.back();
        mins[j] = -floor;
      } else {
        // The weight of the largest magnitude becomes the lowest level, which reaches furthest.
        scales[j] = (-low > high ? low : high) / levels_.front();
        if (!traits_.has_scale_codes()) continue;
        if (traits_.least_scale == 0) scales[j] = std::abs(scales[j]);
      }
    }
    store(scales, traits_.least_scale, traits_.greatest_scale);
    if (traits_.has_min()) store(mins, traits_.least_min, traits_.greatest_min);
    std::vector<double> out;
    for (std::size_t i = 0; i < x.size(); ++i) {
      double nearest = -mins[i / n] + scales[i / n] * levels_.front();
      for (const double level : levels_) {
        const double value = scales[i / n] * level - mins[i / n];
        if (std::abs(value - x[i]) < std::abs(nearest - x[i])) nearest = value;
      }
      out.push_back(nearest);
    }
    return out;
  }

  /// Values as a binary16 number times codes in [least, greatest].
  static void store(std::vector<double>& values, int least, int greatest) {
    double most = 0.0;
    for (const double v : values) most = std::abs(v) > std::abs(most) ? v : most;
    const int end = least < 0 ? least : greatest;  // the end that reaches further
    const auto factor = static_cast<double>(half_to_float(float_to_half(static_cast<float>(most / end))));
    for (double& v : values) {
      const double code = factor == 0.0 ? 0.0 : std::nearbyint(v / factor);
      v = factor * std::clamp(code, static_cast<double>(least), static_cast<double>(greatest));
    }
  }

  detail::BlockTraits traits_;
  std::vector<double> levels_;
};

}  // namespace sinq::test
