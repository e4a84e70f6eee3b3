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
  std::string name;  ///< "learned-4-g64": levels of 4 bits in groups of 64; "vector4-9-g64": 9 bits for 4 weights
  Any config;
  double error = 0.0;  ///< relative squared error to expect, ||W' - W||^2 / ||W||^2, as `RecipeCost` has it
};
using Recipe = BasicRecipe<>;

/// All recipes that `accurate` takes the best one of, and that `sinq::allocate` may give to matrices one by one:
/// Sinkhorn, scales in 6 bits, and learned levels with zero points, or vectors of four or eight without, in groups of
/// 16 to 128. Their errors are means over the layers of `lm30m`.
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
#include <numeric>

namespace sinq::inline SINQ_ABI::presets {

namespace detail {

/// A format, and what it measured: ||W' - W|| / ||W|| over the layers of `lm30m` (sinq-lm perplexity --method
/// sinq-learned | sinq-vector --aux u6).
struct MeasuredRecipe {
  int vector_dim;
  int bits;
  double weight_error;  ///< in groups of 32
};
inline constexpr MeasuredRecipe kMeasuredRecipes[] = {
    // 1 bit and 5 to 8 bits were not measured: half the error for a bit, as between 3 and 4.
    {1, 8, 0.0044}, {1, 7, 0.0087}, {1, 6, 0.0174},  {1, 5, 0.0349}, {1, 4, 0.0678}, {1, 3, 0.1413},
    {1, 2, 0.2975}, {1, 1, 0.6},    {4, 9, 0.1226},  {4, 8, 0.1475}, {4, 7, 0.1775}, {4, 6, 0.2135},
    {4, 5, 0.2567}, {4, 4, 0.3069}, {8, 10, 0.2393}, {8, 9, 0.2653}, {8, 8, 0.2926}};

/// How the error changes with the group: measured at 16, 32, 64 and 128 columns (3 bits; 256 vectors of 4).
[[nodiscard]] inline double expected_error(const MeasuredRecipe& recipe, Index group_size) noexcept {
  static constexpr double kScalar[] = {0.834, 1.0, 1.128, 1.219}, kVector[] = {0.936, 1.0, 1.043, 1.068};
  const double* factors = recipe.vector_dim == 1 ? kScalar : kVector;
  const double at = std::clamp(std::log2(static_cast<double>(group_size) / 16.0), 0.0, 3.0);
  const int below = std::min(static_cast<int>(at), 2);
  const double part = at - below;
  return recipe.weight_error * (factors[below] * (1.0 - part) + factors[below + 1] * part);
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] Any config_of(const MeasuredRecipe& recipe, Index group_size) {
  if (recipe.vector_dim == 1) {
    return Config<LearnedCodebook>{
        .quantizer = LearnedCodebook(recipe.bits), .group_size = group_size, .aux = AuxFormat::kU6};
  }
  // As many groups to a tile as make whole bytes of codes.
  const Index group_bits = group_size / recipe.vector_dim * recipe.bits;
  const Index tile_cols = std::lcm(group_bits, Index{8}) / group_bits * group_size;
  return Config<VectorCodebook>{.quantizer = VectorCodebook(recipe.bits, recipe.vector_dim),
                                .group_size = group_size,
                                .tile_cols = tile_cols == group_size ? 0 : tile_cols,
                                .aux = AuxFormat::kU6};
}

template <std::same_as<AnyConfig> Any>
[[nodiscard]] BasicRecipe<Any> recipe_of(const MeasuredRecipe& recipe, Index group_size) {
  const std::string quantizer = recipe.vector_dim == 1 ? "learned" : "vector" + std::to_string(recipe.vector_dim);
  const double error = expected_error(recipe, group_size);
  return {.name = quantizer + "-" + std::to_string(recipe.bits) + "-g" + std::to_string(group_size),
          .config = config_of<Any>(recipe, group_size),
          .error = error * error};
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
    for (Index group_size = 16; group_size <= 128; group_size += 8) {
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
