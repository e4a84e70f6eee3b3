#pragma once

#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace sinq::inline SINQ_ABI {

/// One recipe that a matrix may get: what it costs and what it loses.
struct RecipeCost {
  double bits_per_weight = 0.0;  ///< all stored bits
  double error = 0.0;            ///< relative squared error, ||W' - W||^2 / ||W||^2: of the recipe, or measured on W
};

/// A matrix that takes part in an allocation.
struct AllocationMatrix {
  std::string name;          ///< for errors
  double weights = 0.0;      ///< how many it has
  double sensitivity = 0.0;  ///< alpha: how much of the model's loss a relative squared error of 1 would cost
  std::vector<RecipeCost> recipes;
  /// Matrices of one group get one recipe (fused q, k and v, experts of a layer, tied matrices): the same position in
  /// lists of equal length. Empty: the matrix is a group of its own.
  std::string group;
  double min_bits_per_weight = 0.0;                                      ///< recipes below are not for this matrix
  double max_bits_per_weight = std::numeric_limits<double>::infinity();  ///< nor are those above
};

/// What `allocate` chose.
struct Allocation {
  std::vector<std::size_t> recipes;  ///< [matrices], positions in their lists
  double bits = 0.0;                 ///< of all matrices
  double loss = 0.0;                 ///< sum of sensitivity * error: the predicted loss
  /// No choice within the budget can lose less (the Lagrangian bound): `loss` is at most that far off.
  double least_loss = 0.0;
};

namespace detail {

/// Recipes of one group, by bits: only those that no other one beats in both. Bits and loss are of the whole group.
struct AllocationGroup {
  struct Choice {
    double bits, loss;
    std::size_t recipe;
  };
  std::vector<std::size_t> members;
  std::vector<Choice> choices;
};

inline void validate(const AllocationMatrix& matrix) {
  const auto refuse = [&](const auto&... parts) {
    SINQ_THROW(Errc::kBadConfig, text("allocate: ", matrix.name, ": ", parts...));
  };
  if (!is_positive(matrix.weights)) refuse("weights ", matrix.weights, " is not positive");
  if (!is_finite(matrix.sensitivity) || matrix.sensitivity < 0.0) {
    refuse("sensitivity ", matrix.sensitivity, " is not 0 or positive");
  }
  if (matrix.recipes.empty()) refuse("there are no recipes");
  for (const RecipeCost& recipe : matrix.recipes) {
    if (!is_finite(recipe.bits_per_weight) || recipe.bits_per_weight < 0.0) {
      refuse("bits_per_weight ", recipe.bits_per_weight, " is not 0 or positive");
    }
    if (!is_finite(recipe.error) || recipe.error < 0.0) refuse("error ", recipe.error, " is not 0 or positive");
  }
}

/// The groups in the order of their first matrices.
[[nodiscard]] inline std::vector<AllocationGroup> allocation_groups(std::span<const AllocationMatrix> matrices) {
  std::vector<AllocationGroup> groups;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    validate(matrices[i]);
    const auto same = [&](const AllocationGroup& g) { return matrices[g.members.front()].group == matrices[i].group; };
    const auto found = matrices[i].group.empty() ? groups.end() : std::find_if(groups.begin(), groups.end(), same);
    if (found == groups.end()) {
      groups.push_back({.members = {i}, .choices = {}});
    } else if (matrices[found->members.front()].recipes.size() != matrices[i].recipes.size()) {
      SINQ_THROW(Errc::kBadConfig,
                 text("allocate: ", matrices[i].name, ": ", matrices[i].recipes.size(), " recipes, others of group ",
                      matrices[i].group, " have ", matrices[found->members.front()].recipes.size()));
    } else {
      found->members.push_back(i);
    }
  }
  for (AllocationGroup& group : groups) {
    for (std::size_t k = 0; k < matrices[group.members.front()].recipes.size(); ++k) {
      AllocationGroup::Choice choice{.bits = 0.0, .loss = 0.0, .recipe = k};
      bool is_allowed = true;
      for (const std::size_t i : group.members) {
        const AllocationMatrix& matrix = matrices[i];
        const RecipeCost& recipe = matrix.recipes[k];
        is_allowed = is_allowed && recipe.bits_per_weight >= matrix.min_bits_per_weight &&
                     recipe.bits_per_weight <= matrix.max_bits_per_weight;
        choice.bits += recipe.bits_per_weight * matrix.weights;
        choice.loss += recipe.error * matrix.sensitivity;
      }
      if (is_allowed) group.choices.push_back(choice);
    }
    if (group.choices.empty()) {
      const AllocationMatrix& first = matrices[group.members.front()];
      SINQ_THROW(Errc::kBadConfig,
                 text("allocate: ", first.name, ": no recipe lies between min_bits_per_weight ",
                      first.min_bits_per_weight, " and max_bits_per_weight ", first.max_bits_per_weight));
    }
    std::stable_sort(group.choices.begin(), group.choices.end(),
                     [](const auto& a, const auto& b) { return a.bits != b.bits ? a.bits < b.bits : a.loss < b.loss; });
    std::vector<AllocationGroup::Choice> kept;
    for (const auto& choice : group.choices) {
      if (kept.empty() || choice.loss < kept.back().loss) kept.push_back(choice);
    }
    group.choices = std::move(kept);
  }
  return groups;
}

/// The problem with the budget's price on bits instead of the budget: each group takes the choice of least
/// loss + price * bits, whatever the others do. At the best price that is a bound from below (Everett 1963).
struct AllocationRelaxation {
  double price = 0.0;                ///< loss per bit
  std::vector<std::size_t> choices;  ///< the cheapest of each group's best ones: within the budget
  double bound = 0.0;
};

/// Walks down the convex hulls of all groups' choices, steepest step first, until the next step would not fit.
[[nodiscard]] inline AllocationRelaxation relax(std::span<const AllocationGroup> groups, double budget) {
  struct Step {
    double price, bits, loss;
    std::size_t group, choice;
  };
  AllocationRelaxation out;
  std::vector<Step> steps;
  double bits = 0.0, loss = 0.0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& choices = groups[g].choices;
    bits += choices.front().bits;
    loss += choices.front().loss;
    for (std::size_t at = 0; at + 1 < choices.size();) {
      const auto price_to = [&](std::size_t k) {
        return (choices[at].loss - choices[k].loss) / (choices[k].bits - choices[at].bits);
      };
      std::size_t next = at + 1;
      for (std::size_t k = at + 2; k < choices.size(); ++k) {
        if (price_to(k) >= price_to(next)) next = k;
      }
      steps.push_back(
          {price_to(next), choices[next].bits - choices[at].bits, choices[at].loss - choices[next].loss, g, next});
      at = next;
    }
  }
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.price > b.price; });
  out.choices.assign(groups.size(), 0);
  out.bound = loss;
  for (const Step& step : steps) {
    if (bits + step.bits > budget) {
      // A part of this step would fill the budget exactly: what no whole choice can beat.
      out.price = step.price;
      out.bound -= step.price * (budget - bits);
      break;
    }
    bits += step.bits;
    out.bound -= step.loss;
    out.choices[step.group] = step.choice;
  }
  return out;
}

/// A choice for the first groups that may still be part of the best one.
struct AllocationState {
  double bits, loss;
  std::uint32_t from;    ///< the state of one group less
  std::uint32_t choice;  ///< of the last group
};

/// Leaves the states that no other one beats in both bits and loss, in the order of their bits.
inline void keep_undominated(std::vector<AllocationState>& states) {
  std::stable_sort(states.begin(), states.end(), [](const AllocationState& a, const AllocationState& b) {
    return a.bits != b.bits ? a.bits < b.bits : a.loss < b.loss;
  });
  double least = std::numeric_limits<double>::infinity();
  const auto is_beaten = [&](const AllocationState& state) {
    if (!(state.loss < least)) return true;
    least = state.loss;
    return false;
  };
  states.erase(std::remove_if(states.begin(), states.end(), is_beaten), states.end());
}

}  // namespace detail

/// Chooses one recipe per matrix so that the sum of sensitivity * error is least and all matrices together take at most
/// `max_bits` bits (but for rounding, 1e-13 of it). (That a model's loss is close to such a sum: linearity theorem of
/// HIGGS, arXiv 2411.17525.)
///
/// The choice is exact: dynamic programming over the groups keeps the partial choices that no other one beats and that
/// the Lagrangian bound does not rule out. Of more than `kMaxStates` at a time (hundreds of matrices with recipes of
/// nearly equal worth) only those of least bound stay; then, too, `least_loss` says how far off `loss` can be.
/// Deterministic. Throws Errc::kBadConfig: a field of a matrix breaks its rule, or `max_bits` is below the least
/// possible size, which the text names.
[[nodiscard]] inline Allocation allocate(std::span<const AllocationMatrix> matrices, double max_bits) {
  // Of 24 bytes each, for every matrix: 300 of them take 120 MB at most. Random models of 220 matrices had up to 1300.
  constexpr std::size_t kMaxStates = std::size_t{1} << 14;
  if (matrices.empty()) SINQ_THROW(Errc::kBadShape, "allocate: there are no matrices");
  if (is_nan(max_bits)) SINQ_THROW(Errc::kBadConfig, "allocate: max_bits is not a number");
  const std::vector<detail::AllocationGroup> groups = detail::allocation_groups(matrices);
  double least_bits = 0.0, all_weights = 0.0;
  for (const auto& group : groups) least_bits += group.choices.front().bits;
  for (const auto& matrix : matrices) all_weights += matrix.weights;
  if (least_bits > max_bits) {
    SINQ_THROW(Errc::kBadConfig, detail::text("allocate: max_bits ", max_bits, " (", max_bits / all_weights,
                                              " per weight) is less than the least possible, ", least_bits, " (",
                                              least_bits / all_weights, " per weight)"));
  }
  const detail::AllocationRelaxation relaxed = detail::relax(groups, max_bits);

  // What the groups from g on add at least: to the bits, and to loss + price * bits.
  std::vector<double> bits_left(groups.size() + 1, 0.0), priced_left(groups.size() + 1, 0.0);
  double best_loss = 0.0;
  for (std::size_t g = groups.size(); g-- > 0;) {
    double least = std::numeric_limits<double>::infinity();
    for (const auto& choice : groups[g].choices) least = std::min(least, choice.loss + relaxed.price * choice.bits);
    priced_left[g] = priced_left[g + 1] + least;
    bits_left[g] = bits_left[g + 1] + groups[g].choices.front().bits;
    best_loss += groups[g].choices[relaxed.choices[g]].loss;
  }
  // Sums in another order differ in the last digits: nothing is ruled out for that, neither by loss nor by size.
  const double margin = 1e-12 * (best_loss + std::max(relaxed.bound, 0.0));
  const double budget = max_bits * (1.0 + 1e-13);
  const double priced_budget = relaxed.price > 0.0 ? relaxed.price * max_bits : 0.0;  // the budget may be infinite

  using State = detail::AllocationState;
  std::vector<std::vector<State>> layers{{{.bits = 0.0, .loss = 0.0, .from = 0, .choice = 0}}};
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto bound = [&](const State& s) { return s.loss + relaxed.price * s.bits + priced_left[g + 1]; };
    std::vector<State> next;
    for (std::size_t i = 0; i < layers.back().size(); ++i) {
      const State& state = layers.back()[i];
      for (std::size_t k = 0; k < groups[g].choices.size(); ++k) {
        const auto& choice = groups[g].choices[k];
        const State longer{state.bits + choice.bits, state.loss + choice.loss, static_cast<std::uint32_t>(i),
                           static_cast<std::uint32_t>(k)};
        if (longer.bits + bits_left[g + 1] > budget || bound(longer) - priced_budget > best_loss + margin) continue;
        next.push_back(longer);
      }
    }
    detail::keep_undominated(next);
    if (next.size() > kMaxStates) {
      const auto last = next.begin() + static_cast<std::ptrdiff_t>(kMaxStates);
      std::nth_element(next.begin(), last, next.end(),
                       [&](const State& a, const State& b) { return bound(a) < bound(b); });
      next.erase(last, next.end());
      detail::keep_undominated(next);
    }
    layers.push_back(std::move(next));
  }

  Allocation out;
  out.recipes.assign(matrices.size(), 0);
  const auto take = [&](std::size_t g, std::size_t k) {
    for (const std::size_t i : groups[g].members) out.recipes[i] = groups[g].choices[k].recipe;
  };
  if (layers.back().empty()) {
    // Cut off on the way: the walk down the hulls is a choice, too.
    for (std::size_t g = 0; g < groups.size(); ++g) take(g, relaxed.choices[g]);
  } else {
    const auto& last = layers.back();
    std::size_t at = static_cast<std::size_t>(
        std::min_element(last.begin(), last.end(), [](const State& a, const State& b) { return a.loss < b.loss; }) -
        last.begin());
    for (std::size_t g = groups.size(); g-- > 0;) {
      const State& state = layers[g + 1][at];
      take(g, state.choice);
      at = state.from;
    }
  }
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const RecipeCost& recipe = matrices[i].recipes[out.recipes[i]];
    out.bits += recipe.bits_per_weight * matrices[i].weights;
    out.loss += recipe.error * matrices[i].sensitivity;
  }
  out.least_loss = std::min(std::max(relaxed.bound, 0.0), out.loss);
  return out;
}

}  // namespace sinq::inline SINQ_ABI
