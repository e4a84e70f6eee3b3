#pragma once

#include <sinq/types.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

namespace sinq::inline SINQ_ABI::detail {

/// Group scales beyond binary16, by octave, and what to do about them. A greater matrix_scale makes room for them and
/// takes low bits from the small ones: where single weights are enormous, it must not.
class OversizedScales {
 public:
  static constexpr float kMost = 65504.0F;

  void add(float scale) noexcept {
    const int above = std::ilogb(scale) - kTopExponent;
    ++above_[static_cast<std::size_t>(std::clamp(above, 0, kOctaves - 1))];
  }
  void merge(const OversizedScales& other) noexcept {
    for (std::size_t i = 0; i < above_.size(); ++i) above_[i] += other.above_[i];
  }
  [[nodiscard]] Index count() const noexcept {
    Index out = 0;
    for (const Index n : above_) out += n;
    return out;
  }

  /// The octaves that matrix_scale should grow by: the least sum of the scales' squared relative errors, over those
  /// counted here and the others of all scales `stored` so far.
  [[nodiscard]] int best_shift(std::span<const std::uint16_t> stored) const noexcept {
    constexpr std::uint16_t kClipped = 0x7bff;
    std::array<Index, 32> held{};  // by exponent
    for (const std::uint16_t bits : stored) held[bits >> 10 & 31U] += bits != 0 && bits != kClipped ? 1 : 0;
    int greatest = kOctaves - 1;
    while (greatest > 0 && above_[static_cast<std::size_t>(greatest)] == 0) --greatest;
    // As many octaves as bring the greatest scale to 2^14, unless fewer are better.
    int best = 0;
    double least = HUGE_VAL;
    for (int shift = 0; shift <= greatest + 1; ++shift) {
      double error = 0.0;
      for (int i = 0; i < kOctaves; ++i) {
        const double lost = i < shift ? 0.0 : 1.0 - std::ldexp(1.0, shift - i - 1);
        error += static_cast<double>(above_[static_cast<std::size_t>(i)]) * lost * lost;
      }
      for (int i = 0; i < 32; ++i) {
        // Exponents from 1 on are normal, with eleven bits; each octave below costs one.
        const double lost = i - shift >= 1 ? 0.0 : std::min(1.0, std::ldexp(1.0, 1 - (i - shift) - 12));
        error += static_cast<double>(held[static_cast<std::size_t>(i)]) * lost * lost;
      }
      if (error <= least) best = shift;
      least = std::min(least, error);
    }
    return best;
  }

 private:
  static constexpr int kTopExponent = 15, kOctaves = 120;

  std::array<Index, kOctaves> above_{};  ///< [i]: those from 2^(15 + i) to 2^(16 + i)
};

}  // namespace sinq::inline SINQ_ABI::detail
