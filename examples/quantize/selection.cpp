#include "quantize/selection.hpp"

#include "common/glob.hpp"
#include "llm/model_identity.hpp"
#include "quantize/linear_layers.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>

namespace convert {
namespace {

using common::matches;
using sinq::io::TensorInfo;

[[noreturn]] void refuse(const std::string& what) { throw sinq::Error(sinq::Errc::kBadConfig, what); }

bool is_float_matrix(const TensorInfo& info) {
  return info.shape.size() == 2 && info.shape[0] > 0 && info.shape[1] > 0 && sinq::io::is_float(info.dtype);
}

/// "PATTERN=--bits 3": the default settings with some of them changed. A budget is not inherited.
Recipe parse_override(const std::string& text, const llm::QuantizeSettings& base) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) refuse("--for '" + text + "' is not PATTERN=FLAGS");
  Recipe recipe{base.max_bits_per_weight ? llm::QuantizeSettings{} : base, text.substr(0, equals)};
  CLI::App app;
  app.set_help_flag();
  llm::add_weight_options(app, recipe.settings);
  try {
    app.parse(text.substr(equals + 1));
  } catch (const CLI::ParseError& error) {
    refuse("--for '" + text + "': " + error.what());
  }
  return recipe;
}

/// Why each tensor is not quantized; empty of those that are. Counts what each pattern matched.
std::vector<std::string> choose(const SelectionOptions& options, const sinq::io::Checkpoint& checkpoint) {
  std::vector<std::size_t> included(options.include.size()), excluded(options.exclude.size());
  std::vector<std::string> kept_because;
  const auto match = [](const std::vector<std::string>& patterns, const std::string& name,
                        std::vector<std::size_t>& counts) {
    bool any = false;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (!matches(patterns[i], name)) continue;
      ++counts[i];
      any = true;
    }
    return any;
  };
  for (const auto& tensor : checkpoint.tensors()) {
    const TensorInfo& info = tensor.info;
    std::string& reason = kept_because.emplace_back(reason_to_keep(info));
    if (options.settings.embeddings == llm::Embeddings::kQuantized && is_float_matrix(info) &&
        is_embedding_or_head(info.name)) {
      reason.clear();
    }
    if (!options.include.empty() && is_float_matrix(info)) {
      reason = match(options.include, info.name, included) ? "" : "matches no --include";
    }
    if (reason.empty() && match(options.exclude, info.name, excluded)) reason = "matches --exclude";
  }
  const auto check = [](const char* flag, const std::vector<std::string>& patterns,
                        const std::vector<std::size_t>& counts, const char* what) {
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (counts[i] == 0) refuse(std::string(flag) + " '" + patterns[i] + "' matches no " + what);
    }
  };
  check("--include", options.include, included, "matrix of floats");
  check("--exclude", options.exclude, excluded, "tensor that would be quantized");
  return kept_because;
}

/// Takes a budget apart: from one recipe of the selection to one for each that its allocation has chosen.
void take_apart(Selection& selection, std::size_t budget_at) {
  const Recipe budget = selection.recipes[budget_at];
  selection.allocations.push_back(budget.settings.allocation);
  std::map<std::string, std::size_t> positions;
  auto matrix = budget.settings.allocation->matrices.begin();  // they stand in the order of the tensors
  for (auto& recipe : selection.recipe_of) {
    if (recipe != budget_at) continue;
    const sinq::presets::Recipe& chosen = (matrix++)->recipe;
    const auto [at, is_new] =
        positions.try_emplace(chosen.name, positions.empty() ? budget_at : selection.recipes.size());
    if (is_new && at->second != budget_at) selection.recipes.emplace_back();
    if (is_new) {
      selection.recipes[at->second] = {llm::with_recipe(budget.settings, chosen), budget.pattern, chosen.name};
    }
    recipe = at->second;
  }
}

}  // namespace

void add_selection_options(CLI::App& app, SelectionOptions& options) {
  llm::add_weight_options(app, options.settings);
  auto* include =
      app.add_option("--include", options.include,
                     "quantize the matrices whose names match this glob pattern, instead of the linear layers of the "
                     "blocks; may be repeated")
          ->option_text("PATTERN")
          ->allow_extra_args(false);
  llm::add_embeddings_option(app, options.settings)->excludes(include);
  app.add_option("--exclude", options.exclude, "leave those that match as they are; may be repeated")
      ->option_text("PATTERN")
      ->allow_extra_args(false);
  app.add_option("--for", options.overrides,
                 "other flags for the tensors that match, e.g. '*.down_proj.weight=--bits 6 --group-size 32'; may be "
                 "repeated, the last match counts")
      ->option_text("'PATTERN=FLAGS'")
      ->allow_extra_args(false);
}

llm::Json Selection::settings() const {
  llm::Json out = llm::Json::array();
  for (const Recipe& recipe : recipes) {
    llm::Json one = llm::weights_to_json(recipe.settings);
    if (!recipe.pattern.empty()) one["for"] = recipe.pattern;
    if (!recipe.name.empty()) one["recipe"] = recipe.name;
    out.push_back(std::move(one));
  }
  return out;
}

Selection select(const SelectionOptions& options, const sinq::io::Checkpoint& checkpoint) {
  Selection out{.recipes = {},
                .allocations = {},
                .include = options.include,
                .exclude = options.exclude,
                .recipe_of = {},
                .kept_because = {}};
  out.recipes.push_back({options.settings, ""});
  for (const std::string& text : options.overrides) out.recipes.push_back(parse_override(text, options.settings));

  std::vector<std::vector<llm::NamedMatrix>> matrices(out.recipes.size());
  out.kept_because = choose(options, checkpoint);
  for (std::size_t t = 0; t < out.kept_because.size(); ++t) {
    const TensorInfo& info = checkpoint.tensors()[t].info;
    auto& recipe = out.recipe_of.emplace_back();
    if (!out.kept_because[t].empty()) continue;
    recipe = 0;
    for (std::size_t i = 1; i < out.recipes.size(); ++i) {
      if (matches(out.recipes[i].pattern, info.name)) recipe = i;
    }
    matrices[*recipe].push_back({.name = info.name, .rows = info.shape[0], .cols = info.shape[1]});
  }
  for (std::size_t i = 0; i < out.recipes.size(); ++i) {
    Recipe& recipe = out.recipes[i];
    if (i > 0 && matrices[i].empty()) refuse("--for '" + recipe.pattern + "' is the last match of no quantized tensor");
    try {
      if (!matrices[i].empty()) {
        recipe.settings =
            llm::within_budget(recipe.settings, matrices[i], [&] { return llm::model_identity(checkpoint); });
      }
      llm::validate(recipe.settings);
    } catch (const sinq::Error& error) {
      if (recipe.pattern.empty()) throw;
      refuse("--for '" + recipe.pattern + "': " + error.what());
    }
  }
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    if (out.recipes[i].settings.allocation) take_apart(out, i);
  }
  // A model as it is: those tensors are copied.
  for (std::size_t t = 0; t < out.recipe_of.size(); ++t) {
    auto& recipe = out.recipe_of[t];
    if (!recipe || out.recipes[*recipe].settings.weights != llm::Weights::kAsStored) continue;
    out.kept_because[t] = "--method fp32";
    recipe.reset();
  }
  return out;
}

}  // namespace convert
