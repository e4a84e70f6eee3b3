#pragma once

#include <sinq/any_config.hpp>
#include <sinq/compiled.hpp>

#include <concepts>
#include <span>
#include <string>
#include <vector>

namespace sinq::inline SINQ_ABI::presets {

/// What a preset may spend.
struct Budget {
  double max_bits_per_weight = 0.0;  ///< all stored bits: codes, scales, tables, column scales
};

struct Shape {
  Index rows = 0, cols = 0;
};

/// A way to quantize whose accuracy was measured. (Templates, here and below, so that files that only include this do
/// not pay for AnyConfig.)
template <std::same_as<AnyConfig> Any = AnyConfig>
struct BasicRecipe {
  std::string name;  ///< "trellis-2.25-g64": 2.25 bits in groups of 64; "learned-5-g64": levels of 5 bits
  Any config;
  double error = 0.0;  ///< relative squared error to expect, ||W' - W||^2 / ||W||^2, as `RecipeCost` has it
};
using Recipe = BasicRecipe<>;

/// All recipes that `accurate` takes the best one of, and that `sinq::allocate` may give to matrices one by one:
/// Sinkhorn, scales in 6 bits, and a lane trellis, or learned levels with zero points, in groups of 16 to 512. All of
/// them have fast kernels (`can_run_fast`). Their errors are those of layers of `lm30m`.
template <std::same_as<AnyConfig> Any = AnyConfig>
[[nodiscard]] std::vector<BasicRecipe<Any>> recipes();

/// The one of `recipes()` with the least error whose stored bits stay within `budget`, over all matrices of `shapes`
/// together (their column scales cost 16 / rows bits per weight, their tables come once each).
///
/// Matrices without spread inside a group, with a mean far from zero, or that are little more than a single weight, are
/// better off with `Config<>`: their zero points want more than six bits. Figures: benchmarks/README.md.
/// Throws Errc::kBadConfig if the budget is not a number, or below what one bit in groups of 512 takes;
/// Errc::kBadShape.
template <std::same_as<Budget> B = Budget>
[[nodiscard]] AnyConfig accurate(B budget, std::span<const Shape> shapes);

/// The same for one matrix.
template <std::same_as<Budget> B = Budget>
[[nodiscard]] AnyConfig accurate(B budget, Index rows, Index cols) {
  const Shape shape{rows, cols};
  return accurate(budget, std::span<const Shape>(&shape, 1));
}

/// The same where the shapes are not known: the budget holds from 1024 x 1024 on.
template <std::same_as<Budget> B = Budget>
[[nodiscard]] AnyConfig accurate(B budget) {
  return accurate(budget, 1024, 1024);
}

}  // namespace sinq::inline SINQ_ABI::presets

#if SINQ_HAS_BODIES(SEARCH)
#include <algorithm>
#include <cmath>

namespace sinq::inline SINQ_ABI::presets {

namespace detail {

/// ||W' - W||^2 / ||W||^2 over layer 4 of `lm30m`, in groups of 64 with scales in 6 bits. (Over all layers it is the
/// square of the `weight_error` of sinq-lm perplexity --quantizer learned --bits B | trellis --rate R, --group-size 64
/// --aux u6.) Learned levels of 1, 2 .. 8 bits; those of 2 and 3 are of all layers, of 5 layers 2 and 6, and 7 bits lie
/// between their neighbours.
inline constexpr double kLearnedErrors[] = {0.3465, 0.1126, 0.0254, 0.00597, 0.0016, 0.000431, 0.000115, 0.000031};
/// The trellis of 1.5, 1.75 .. 4.5.
inline constexpr double kTrellisErrors[] = {0.1360, 0.0973, 0.0693,  0.0497,  0.0355,  0.02546, 0.01813,
                                            0.0130, 0.0093, 0.00665, 0.00476, 0.00343, 0.00247};

/// How the error grows with the group, in times that of 64 columns, at 16, 32 .. 512. Learned levels of 3 bits, 512
/// columns 5 bits; the trellis of 2.5 bits, 16 columns, which only 4.5 bits have, 4.5. 256 columns lie between.
inline constexpr double kLearnedGrowth[] = {0.547, 0.786, 1.0, 1.168, 1.3, 1.425};
inline constexpr double kTrellisGrowth[] = {0.857, 0.956, 1.0, 1.024, 1.035, 1.046};

/// Of a group size from 16 to 512; between measured ones along the logarithm.
[[nodiscard]] inline double growth_at(std::span<const double> growth, Index group_size) noexcept {
  const double at = std::log2(static_cast<double>(group_size) / 16.0);
  const std::size_t below = std::min(static_cast<std::size_t>(at), growth.size() - 2);
  const double part = at - static_cast<double>(below);
  return growth[below] * (1.0 - part) + growth[below + 1] * part;
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] BasicRecipe<Any> learned_recipe(int bits, Index group_size) {
  return {
      .name = sinq::detail::text("learned-", bits, "-g", group_size),
      .config =
          Config<LearnedCodebook>{.quantizer = LearnedCodebook(bits), .group_size = group_size, .aux = AuxFormat::kU6},
      .error = kLearnedErrors[bits - 1] * growth_at(kLearnedGrowth, group_size)};
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] BasicRecipe<Any> trellis_recipe(int quarter_bits, Index group_size) {
  const double rate = 0.25 * quarter_bits;
  return {
      .name = sinq::detail::text("trellis-", rate, "-g", group_size),
      .config = Config<Trellis>{.quantizer = {.rate = rate}, .group_size = group_size, .aux = AuxFormat::kU6},
      .error = kTrellisErrors[quarter_bits - TrellisGeometry::kMinQuarterBits] * growth_at(kTrellisGrowth, group_size)};
}

/// Whether the matrices take no more than the budget under `config`.
template <std::same_as<AnyConfig> Any>
[[nodiscard]] bool fits(const Any& config, const Budget& budget, std::span<const Shape> shapes) {
  double bits = 0.0, weights = 0.0;
  for (const Shape& shape : shapes) {
    const double count = static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
    bits += bits_per_weight(layout_for(config, shape.rows, shape.cols)) * count;
    weights += count;
  }
  return bits <= budget.max_bits_per_weight * weights;
}

}  // namespace detail

template <std::same_as<AnyConfig> Any>
std::vector<BasicRecipe<Any>> recipes() {
  constexpr Index kMostGroup = 512;
  // Beyond 128 columns scales cost too little for sizes in between to matter.
  const auto next = [](Index group_size, Index step) { return group_size < 128 ? group_size + step : 2 * group_size; };
  std::vector<BasicRecipe<Any>> out;
  for (int bits = 8; bits >= 1; --bits) {
    for (Index group = 16; group <= kMostGroup; group = next(group, 8)) {
      out.push_back(detail::learned_recipe<Any>(bits, group));
    }
  }
  for (int q = TrellisGeometry::kMaxQuarterBits; q >= TrellisGeometry::kMinQuarterBits; --q) {
    // A quarter of a bit more is worth more than groups of less than 32.
    const Index least = q == TrellisGeometry::kMaxQuarterBits ? 16 : 32;
    for (Index group = least; group <= kMostGroup; group = next(group, TrellisGeometry::kBlockCols)) {
      out.push_back(detail::trellis_recipe<Any>(q, group));
    }
  }
  return out;
}

template <std::same_as<Budget> B>
AnyConfig accurate(B budget, std::span<const Shape> shapes) {
  if (shapes.empty()) SINQ_THROW(Errc::kBadShape, "presets::accurate: there are no shapes");
  const std::vector<Recipe> all = recipes();
  const Recipe* best = nullptr;
  for (const Recipe& recipe : all) {
    const bool is_better = best == nullptr || recipe.error < best->error;
    if (is_better && detail::fits(recipe.config, budget, shapes)) best = &recipe;
  }
  if (best == nullptr) {
    SINQ_THROW(Errc::kBadConfig,
               sinq::detail::text("presets::accurate: max_bits_per_weight ", budget.max_bits_per_weight,
                                  " is less than one bit in groups of 512 takes"));
  }
  return best->config;
}

}  // namespace sinq::inline SINQ_ABI::presets
#endif
