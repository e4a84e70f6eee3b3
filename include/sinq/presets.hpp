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
/// Sinkhorn, scales in 6 bits, and a lane trellis, or learned levels with zero points, in groups of 16 to 128. All of
/// them have fast kernels (`can_run_fast`). Their errors are means over the layers of `lm30m`.
template <std::same_as<AnyConfig> Any = AnyConfig>
[[nodiscard]] std::vector<BasicRecipe<Any>> recipes();

/// The one of `recipes()` with the least error whose stored bits stay within `budget`, over all matrices of `shapes`
/// together (their column scales cost 16 / rows bits per weight, their tables come once each).
///
/// Matrices without spread inside a group, with a mean far from zero, or that are little more than a single weight, are
/// better off with `Config<>`: their zero points want more than six bits. Figures: benchmarks/README.md.
/// Throws Errc::kBadConfig if the budget is not a number, or below what one bit in groups of 128 takes;
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

/// A quantizer, and what it measured: ||W' - W|| / ||W|| over the layers of `lm30m` in groups of 64.
struct MeasuredRecipe {
  int bits;          ///< of learned levels; 0: a trellis
  int quarter_bits;  ///< of a trellis
  double weight_error;
};
// Provisional. Trellis: the root of the distortion of a Gaussian source; quarters lie between their neighbours. Learned
// levels of 1 bit and 5 to 8 bits were not measured: half the error for a bit, as between 3 and 4.
inline constexpr MeasuredRecipe kMeasuredRecipes[] = {
    {8, 0, 0.0050}, {7, 0, 0.0098}, {6, 0, 0.0196},  {5, 0, 0.0394},  {4, 0, 0.0765},  {3, 0, 0.1594},
    {2, 0, 0.3356}, {1, 0, 0.6},    {0, 18, 0.0539}, {0, 17, 0.0628}, {0, 16, 0.0732}, {0, 15, 0.0860},
    {0, 14, 0.101}, {0, 13, 0.119}, {0, 12, 0.1393}, {0, 11, 0.1644}, {0, 10, 0.1939}, {0, 9, 0.2291},
    {0, 8, 0.2707}, {0, 7, 0.3198}, {0, 6, 0.3778}};

/// How the error changes with the group: at 16, 32, 64 and 128 columns (learned levels: measured at 3 bits).
[[nodiscard]] inline double expected_error(const MeasuredRecipe& recipe, Index group_size) noexcept {
  static constexpr double kLearned[] = {0.739, 0.887, 1.0, 1.081}, kTrellis[] = {0.955, 0.981, 1.0, 1.039};
  const double* factors = recipe.bits != 0 ? kLearned : kTrellis;
  const double at = std::clamp(std::log2(static_cast<double>(group_size) / 16.0), 0.0, 3.0);
  const int below = std::min(static_cast<int>(at), 2);
  const double part = at - below;
  return recipe.weight_error * (factors[below] * (1.0 - part) + factors[below + 1] * part);
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] BasicRecipe<Any> recipe_of(const MeasuredRecipe& recipe, Index group_size) {
  const double error = expected_error(recipe, group_size);
  BasicRecipe<Any> out{.name = {}, .config = {}, .error = error * error};
  if (recipe.bits != 0) {
    out.name = sinq::detail::text("learned-", recipe.bits, "-g", group_size);
    out.config = Config<LearnedCodebook>{
        .quantizer = LearnedCodebook(recipe.bits), .group_size = group_size, .aux = AuxFormat::kU6};
  } else {
    const double rate = 0.25 * recipe.quarter_bits;
    out.name = sinq::detail::text("trellis-", rate, "-g", group_size);
    out.config = Config<Trellis>{.quantizer = {.rate = rate}, .group_size = group_size, .aux = AuxFormat::kU6};
  }
  return out;
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
  std::vector<BasicRecipe<Any>> out;
  for (const detail::MeasuredRecipe& recipe : detail::kMeasuredRecipes) {
    const Index step = recipe.bits != 0 ? 8 : TrellisGeometry::kBlockCols;
    for (Index group_size = 16; group_size <= 128; group_size += step) {
      out.push_back(detail::recipe_of<Any>(recipe, group_size));
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
                                  " is less than one bit in groups of 128 takes"));
  }
  return best->config;
}

}  // namespace sinq::inline SINQ_ABI::presets
#endif
