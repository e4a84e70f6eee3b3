#pragma once

#include <sinq/any_config.hpp>
#include <sinq/io/checkpoint.hpp>

#include "llm/json_file.hpp"
#include "llm/settings.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace convert {

/// What the command line says about which tensors are quantized, and how.
struct SelectionOptions {
  llm::QuantizeSettings settings;      ///< of all tensors that `overrides` do not name
  std::vector<std::string> include;    ///< patterns; empty: the linear layers of the blocks
  std::vector<std::string> exclude;    ///< patterns
  std::vector<std::string> overrides;  ///< "PATTERN=FLAGS"; the last one that matches counts
};

/// --include --include-embeddings --exclude --for and the flags of quantization.
void add_selection_options(CLI::App& app, SelectionOptions& options);

/// One way to quantize.
struct Recipe {
  llm::QuantizeSettings settings;  ///< budgets resolved
  std::string pattern;             ///< of the override that asks for it; empty: the default
  std::string name{};              ///< of one that a budget has chosen
};

/// Which tensors of a checkpoint are quantized, and how.
struct Selection {
  std::vector<Recipe> recipes;
  std::vector<std::shared_ptr<const llm::ModelAllocation>> allocations;  ///< of budgets, each of several recipes
  std::vector<std::string> include, exclude;                             ///< as asked for
  std::vector<std::optional<std::size_t>> recipe_of;  ///< of each of `checkpoint.tensors()`; none: copied as it is
  std::vector<std::string> kept_because;              ///< of each tensor: why it is copied; empty if it is quantized

  /// The recipes, the defaults included.
  [[nodiscard]] llm::Json settings() const;
};

/// Throws kBadConfig for flags that make no configuration, and for a pattern that matches nothing.
[[nodiscard]] Selection select(const SelectionOptions& options, const sinq::io::Checkpoint& checkpoint);

}  // namespace convert
