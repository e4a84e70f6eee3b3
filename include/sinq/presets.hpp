#pragma once

#include <sinq/any_config.hpp>

#include <span>

namespace sinq::presets {

/// What a preset may spend.
struct Budget {
  double max_bits_per_weight = 0.0;  ///< all stored bits: codes, scales, tables, column scales
};

struct Shape {
  Index rows = 0, cols = 0;
};

/// The most accurate calibration-free recipe whose stored bits stay within `budget`, over all matrices of `shapes`
/// together (their column scales cost 16 / rows bits per weight): Sinkhorn, learned levels, scales and zero points in 6
/// bits, as many bits per code as groups of 128 leave room for, and then the smallest groups.
///
/// On `lm30m` (WikiText-2 test, 64 blocks of 512, KL in nats per token): 0.0266 within 4.55 bits (4.43 used), 0.0335
/// within 4.3, 0.113 within 3.55 (3.43), 0.140 within 3.3, 0.43 within 2.85, 0.53 within 2.6, 0.73 within 2.3. Plain
/// SINQ takes 4.52 bits for 0.0453, 3.52 for 0.220 and 2.52 for 1.60. Matrices without spread inside a group, or with
/// a mean far from zero, are better off with `Config<>`: their zero points want more than six bits.
/// Throws Errc::kBadConfig if the budget is not a number, or below what one bit in groups of 128 takes;
/// Errc::kBadShape.
[[nodiscard]] inline AnyConfig accurate(Budget budget, std::span<const Shape> shapes) {
  if (shapes.empty()) SINQ_THROW(Errc::kBadShape, "presets::accurate: there are no shapes");
  constexpr Index kLeastGroup = 16, kGreatestGroup = 128, kStep = 8;
  constexpr int kMaxBits = 8;
  const auto recipe = [](int bits, Index group_size) {
    return Config<LearnedCodebook, Sinkhorn>{
        .quantizer = LearnedCodebook(bits), .group_size = group_size, .aux = AuxFormat::kU6};
  };
  const auto fits = [&](const Config<LearnedCodebook, Sinkhorn>& config) {
    double bits = 0.0, weights = 0.0;
    for (const Shape& shape : shapes) {
      const double count = static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
      bits += bits_per_weight(layout_for(config, shape.rows, shape.cols)) * count;
      weights += count;
    }
    return bits <= budget.max_bits_per_weight * weights;
  };
  int bits = kMaxBits;
  while (bits > 1 && !fits(recipe(bits, kGreatestGroup))) --bits;
  for (Index group_size = kLeastGroup; group_size <= kGreatestGroup; group_size += kStep) {
    if (const auto config = recipe(bits, group_size); fits(config)) return config;
  }
  SINQ_THROW(Errc::kBadConfig, detail::text("presets::accurate: max_bits_per_weight ", budget.max_bits_per_weight,
                                            " is less than one bit in groups of 128 takes"));
}

/// The same for one matrix.
[[nodiscard]] inline AnyConfig accurate(Budget budget, Index rows, Index cols) {
  const Shape shape{rows, cols};
  return accurate(budget, {&shape, 1});
}

/// The same where the shapes are not known: the budget holds from 1024 x 1024 on.
[[nodiscard]] inline AnyConfig accurate(Budget budget) { return accurate(budget, 1024, 1024); }

}  // namespace sinq::presets
