#include "llm/model_allocation.hpp"

#include <sinq/allocation.hpp>
#include <sinq/any_config.hpp>
#include <sinq/io/tensor_info.hpp>

#include "common/glob.hpp"
#include "common/text.hpp"
#include "llm/json_difference.hpp"
#include "llm/sensitivity.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace llm {
namespace {

using common::number;
using sinq::io::detail::name_text;
using sinq::presets::Recipe;

double share_of(const AllocatedMatrix& matrix, const ModelAllocation& allocation) {
  return allocation.loss > 0 ? matrix.loss() / allocation.loss : 0.0;
}

/// alpha of each matrix: the file's, or the defaults.
std::vector<double> sensitivities_of(const std::filesystem::path& file, std::span<const NamedMatrix> matrices,
                                     const std::function<Json()>& model_files) {
  if (file.empty()) return default_sensitivities(matrices);
  const Sensitivities measured = read_sensitivities(file);
  if (const std::string what = difference(measured.model.at("files"), model_files()); !what.empty()) {
    throw sinq::Error(sinq::Errc::kBadFile,
                      sinq::detail::text(file.string(), ": was measured on another model, ",
                                         name_text(measured.model.at("name").get<std::string>()), ": ", what));
  }
  return alphas_of(measured, matrices, file);
}

/// The names of recipes, shortened: those that differ in the group only once.
std::string known_recipes(const std::vector<Recipe>& recipes) {
  std::string out;
  std::set<std::string> seen, groups;
  for (const Recipe& recipe : recipes) {
    const std::string family = recipe.name.substr(0, recipe.name.rfind("-g"));
    if (seen.insert(family).second) out += (out.empty() ? "" : ", ") + family;
  }
  return out + ", each with its group, e.g. " + recipes.front().name;
}

/// The recipe that each matrix is to have, by position in `recipes`; none: it may be chosen.
std::vector<std::optional<std::size_t>> fixed_recipes(const std::vector<std::string>& fixed,
                                                      std::span<const NamedMatrix> matrices,
                                                      const std::vector<Recipe>& recipes) {
  std::vector<std::optional<std::size_t>> out(matrices.size());
  for (const std::string& text : fixed) {
    const auto refuse = [&](const std::string& what) {
      throw sinq::Error(sinq::Errc::kBadConfig, "--fixed '" + text + "'" + what);
    };
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) refuse(" is not PATTERN=RECIPE");
    const std::string pattern = text.substr(0, equals), name = text.substr(equals + 1);
    const auto at = std::find_if(recipes.begin(), recipes.end(), [&](const Recipe& r) { return r.name == name; });
    if (at == recipes.end()) refuse(": recipe '" + name + "' is none of " + known_recipes(recipes));
    bool any = false;
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      if (!common::matches(pattern, matrices[i].name)) continue;
      out[i] = static_cast<std::size_t>(at - recipes.begin());
      any = true;
    }
    if (!any) refuse(" matches no matrix that would be quantized");
  }
  return out;
}

/// What each recipe costs matrices of some shape; computed once for each.
class Costs {
 public:
  explicit Costs(const std::vector<Recipe>& recipes) : recipes_(recipes) {}

  const std::vector<sinq::RecipeCost>& of(const NamedMatrix& matrix) {
    auto& costs = of_shape_[{matrix.rows, matrix.cols}];
    if (!costs.empty()) return costs;
    for (const Recipe& recipe : recipes_) {
      const sinq::Layout layout = sinq::layout_for(recipe.config, matrix.rows, matrix.cols);
      costs.push_back({.bits_per_weight = sinq::bits_per_weight(layout), .error = recipe.error});
    }
    return costs;
  }

 private:
  const std::vector<Recipe>& recipes_;
  std::map<std::pair<Index, Index>, std::vector<sinq::RecipeCost>> of_shape_;
};

}  // namespace

const AllocatedMatrix& ModelAllocation::of(const std::string& name) const {
  const auto at = std::find_if(matrices.begin(), matrices.end(), [&](const auto& m) { return m.matrix.name == name; });
  if (at == matrices.end()) {
    throw sinq::Error(sinq::Errc::kBadConfig, name_text(name) + " has no part in the allocation");
  }
  return *at;
}

std::optional<double> ModelAllocation::predicted_kl() const {
  return sensitivity.empty() ? std::nullopt : std::optional(loss);
}

ModelAllocation allocate_model(const AllocationOptions& options, std::span<const NamedMatrix> matrices,
                               const std::function<Json()>& model_files) {
  const std::vector<Recipe> recipes = sinq::presets::recipes();
  const std::vector<double> alphas = sensitivities_of(options.sensitivity, matrices, model_files);
  const auto fixed = fixed_recipes(options.fixed, matrices, recipes);
  Costs costs(recipes);
  std::vector<sinq::AllocationMatrix> parts;
  double weights = 0.0;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    sinq::AllocationMatrix& part = parts.emplace_back();
    part.name = matrices[i].name;
    part.weights = matrices[i].weights();
    part.sensitivity = alphas[i];
    part.recipes = costs.of(matrices[i]);
    if (fixed[i]) {
      part.recipes = {part.recipes[*fixed[i]]};
    } else if (const std::string experts = experts_of(matrices[i].name); !experts.empty()) {
      part.group = experts;
    }
    weights += part.weights;
  }
  sinq::Allocation chosen;
  try {
    chosen = sinq::allocate(parts, options.max_bits_per_weight * weights);
  } catch (const sinq::Error& error) {
    throw sinq::Error(error.code(),
                      sinq::detail::text("max_bits_per_weight ", options.max_bits_per_weight, ": ", error.what()));
  }
  ModelAllocation out{.max_bits_per_weight = options.max_bits_per_weight,
                      .sensitivity = options.sensitivity,
                      .matrices = {},
                      .bits_per_weight = chosen.bits / weights,
                      .loss = chosen.loss};
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    out.matrices.push_back({.matrix = matrices[i],
                            .alpha = alphas[i],
                            .recipe = recipes[fixed[i].value_or(chosen.recipes[i])],
                            .bits_per_weight = parts[i].recipes[chosen.recipes[i]].bits_per_weight,
                            .is_fixed = fixed[i].has_value()});
  }
  return out;
}

std::string table_of(const ModelAllocation& allocation) {
  std::size_t width = 6;
  for (const AllocatedMatrix& m : allocation.matrices) width = std::max(width, m.matrix.name.size());
  const auto padded = [](const std::string& text, std::size_t to) {
    return text + std::string(to - std::min(to, text.size()), ' ');
  };
  std::string out = "  " + padded("matrix", width) + "     alpha  " + padded("recipe", 16) + "  bits  share of loss\n";
  for (const AllocatedMatrix& m : allocation.matrices) {
    out += "  " + padded(m.matrix.name, width) + number("%10.4g", m.alpha) + "  " + padded(m.recipe.name, 14) +
           number("%8.3f", m.bits_per_weight) + number("%14.2f%%", 100.0 * share_of(m, allocation)) +
           (m.is_fixed ? "  fixed" : "") + "\n";
  }
  return out;
}

std::string summary_of(const ModelAllocation& allocation) {
  const std::optional<double> kl = allocation.predicted_kl();
  return "a recipe for each matrix by " +
         (allocation.sensitivity.empty() ? "default sensitivities"
                                         : "the sensitivities of " + allocation.sensitivity.string()) +
         ": " + number("%.3f", allocation.bits_per_weight) + " of at most " +
         number("%.3f", allocation.max_bits_per_weight) + " bits per weight, " +
         (kl ? "predicted KL " + number("%.4f", *kl) : "KL not predicted: defaults are no measurement of this model");
}

Json to_json(const ModelAllocation& allocation) {
  Json matrices = Json::array();
  for (const AllocatedMatrix& m : allocation.matrices) {
    matrices.push_back({{"name", m.matrix.name},
                        {"rows", m.matrix.rows},
                        {"cols", m.matrix.cols},
                        {"alpha", m.alpha},
                        {"recipe", m.recipe.name},
                        {"bits_per_weight", m.bits_per_weight},
                        {"expected_error", m.recipe.error},
                        {"share", share_of(m, allocation)},
                        {"fixed", m.is_fixed}});
  }
  const std::optional<double> kl = allocation.predicted_kl();
  return {{"max_bits_per_weight", allocation.max_bits_per_weight},
          {"sensitivity", allocation.sensitivity.empty() ? "default" : allocation.sensitivity.filename().string()},
          {"bits_per_weight", allocation.bits_per_weight},
          {"predicted_kl", kl ? Json(*kl) : Json()},
          {"matrices", std::move(matrices)}};
}

}  // namespace llm
