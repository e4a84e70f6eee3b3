#pragma once

#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace sinq::inline SINQ_ABI::detail {

/// level = base + step * t, t being what an integer kernel multiplies: the code itself, or a table entry.
struct LevelAffine {
  float step = 1.0F;
  float base = 0.0F;
};

/// Levels of a codebook as unsigned bytes for integer dot products: one digit, or two (t = 128 * high + low).
struct LevelTable {
  static constexpr Index kMaxEntries = 256;

  LevelAffine affine;
  int digits = 0;    ///< 0: codes are levels
  int max_code = 0;  ///< no entry is larger
  alignas(64) std::uint8_t high[kMaxEntries] = {};
  alignas(64) std::uint8_t low[kMaxEntries] = {};

  LevelTable() = default;

  /// From `count` levels (at most 256), for a dot product that multiplies bytes up to `largest`. One digit where that
  /// is exact (levels on a grid) or where its rounding stays within `tolerance` of the levels' root mean square.
  LevelTable(const float* levels, Index count, int largest, float tolerance) noexcept : max_code(largest) {
    if (count == 0) return;
    const auto [lowest, highest] = std::minmax_element(levels, levels + count);
    affine.base = *lowest;
    digits = 1;
    const float range = *highest - *lowest;
    if (!(range > 0.0F)) return;
    double square = 0.0;
    for (Index i = 0; i < count; ++i) square += static_cast<double>(levels[i]) * static_cast<double>(levels[i]);
    // A grid counts as exact up to float's own rounding.
    const double limit = square * std::pow(std::max(static_cast<double>(tolerance), 1e-6), 2);
    const auto top = static_cast<float>(largest);
    const float grid = smallest_gap(levels, count);
    if (grid * top >= range && error_of(levels, count, grid, *lowest, limit) <= limit) {
      fill(levels, count, grid, *lowest);
      return;
    }
    if (count <= kSearched && find_grid(levels, count, range, limit)) return;
    digits = 2;
    affine.step = range / 16383.0F;
    for (Index i = 0; i < count; ++i) {
      const int t = entry(levels[i], affine.step, affine.base, 16383);
      high[i] = static_cast<std::uint8_t>(t >> 7);
      low[i] = static_cast<std::uint8_t>(t & 127);
    }
  }

 private:
  /// Tables up to this size look for a grid that suits them, which takes some microseconds.
  static constexpr Index kSearched = 32;

  static int entry(float level, float step, float base, int top) noexcept {
    const float t = std::nearbyint((level - base) / step);
    return !(t > 0.0F) ? 0 : t < static_cast<float>(top) ? static_cast<int>(t) : top;
  }
  /// The sum of squared differences from the grid, or something above `limit`.
  double error_of(const float* levels, Index count, float step, float base, double limit) const noexcept {
    double error = 0.0;
    for (Index i = 0; i < count && error <= limit; ++i) {
      const float at = base + step * static_cast<float>(entry(levels[i], step, base, max_code));
      const double difference = static_cast<double>(at) - static_cast<double>(levels[i]);
      error += difference * difference;
    }
    return error;
  }
  void fill(const float* levels, Index count, float step, float base) noexcept {
    affine = {step, base};
    for (Index i = 0; i < count; ++i) high[i] = static_cast<std::uint8_t>(entry(levels[i], step, base, max_code));
  }
  /// Of grids that span the levels in fewer steps than there are, shifted by fractions of a step: the nearest one.
  bool find_grid(const float* levels, Index count, float range, double limit) noexcept {
    const float lowest = affine.base;
    double best = limit;
    LevelAffine found{0.0F, 0.0F};
    for (int steps = max_code; steps > max_code * 3 / 4; --steps) {
      const float step = range / static_cast<float>(steps);
      for (int quarter = 0; quarter < (steps == max_code ? 1 : 4); ++quarter) {
        const float base = lowest - 0.25F * static_cast<float>(quarter) * step;
        const double error = error_of(levels, count, step, base, best);
        if (error <= best) {
          best = error;
          found = {step, base};
        }
      }
    }
    if (found.step > 0.0F) fill(levels, count, found.step, found.base);
    return found.step > 0.0F;
  }
  static float smallest_gap(const float* levels, Index count) noexcept {
    float sorted[kMaxEntries] = {};
    std::copy(levels, levels + count, sorted);
    std::sort(sorted, sorted + count);
    float gap = sorted[count - 1] - sorted[0];
    for (Index i = 1; i < count; ++i) {
      if (sorted[i] > sorted[i - 1]) gap = std::min(gap, sorted[i] - sorted[i - 1]);
    }
    return gap;
  }
};

/// 0.4 percent of the levels beside the 0.8 of int8 activations keeps results within 1 (NF3 rounded by 0.43 came
/// to 1.1); for more digits of the activations, the levels have as many.
[[nodiscard]] constexpr float level_tolerance(int x_digits) noexcept { return x_digits == 1 ? 4e-3F : 0.0F; }

/// Levels of one matrix in the forms that kernels look them up in.
struct Levels {
  const float* values = nullptr;  ///< as stored; null if codes are levels
  alignas(64) float first16[16];  ///< of at most 4 bits, repeated to 16 entries
  const LevelTable& table;        ///< for integer activations

  /// `prepared` is of the same levels; if it does not fit `max_code`, a table that does is made here.
  Levels(const Layout& layout, const float* stored, const LevelTable& prepared, int x_digits, int max_code) noexcept
      : values(stored), table(prepared.digits != 0 && prepared.max_code > max_code ? own_ : prepared) {
    const bool is_direct = stored == nullptr;
    for (int i = 0; i < 16; ++i) {
      const int code = layout.bits < 4 ? i & ((1 << layout.bits) - 1) : i;
      first16[i] = is_direct ? static_cast<float>(code) : layout.bits <= 4 ? stored[code] : 0.0F;
    }
    if (&table == &own_) {
      own_ = LevelTable(stored, layout.level_count, max_code, level_tolerance(x_digits));
    }
  }
  Levels(const Levels&) = delete;

 private:
  LevelTable own_;
};

}  // namespace sinq::inline SINQ_ABI::detail
