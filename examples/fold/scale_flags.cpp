#include "fold/scale_flags.hpp"

#include "common/choice.hpp"

#include <vector>

namespace fold_program {
namespace {

using sinq::fold::EdgeChoice;
using sinq::fold::FactorRounding;

const common::Names<FactorRounding> kRoundings{{"none", FactorRounding::kNone},
                                               {"power-of-two", FactorRounding::kPowerOfTwo}};
const common::Names<bool EdgeChoice::*> kEdges{{"norms", &EdgeChoice::norms},
                                               {"up-down", &EdgeChoice::up_down},
                                               {"value-output", &EdgeChoice::value_output},
                                               {"head", &EdgeChoice::head}};

}  // namespace

SearchedFlags add_scale_flags(CLI::App& app, const std::string& prefix, sinq::fold::ScaleOptions& scales,
                              CLI::Option* fold) {
  const std::vector<std::string> edges = common::keys_of(kEdges);
  CLI::Option* chosen =
      app.add_option_function<std::vector<std::string>>(
             prefix + "edges",
             [&scales](const std::vector<std::string>& names) {
               scales.edges = {.norms = false, .up_down = false, .value_output = false, .head = false};
               for (const std::string& name : names) scales.edges.*kEdges.at(name) = true;
             },
             "what is folded (default norms,up-down,value-output)")
          ->delimiter(',')
          ->check(CLI::IsMember(edges))
          ->option_text(common::joined(edges));
  CLI::Option* rounding =
      common::add_choice(app, prefix + "rounding", scales.rounding, kRoundings,
                         "of the factors (default none); powers of two leave bf16 and f16 mantissas as they are");
  const SearchedFlags searched{
      .tile = app.add_option(prefix + "tile", scales.tile, "channels balanced together; 0: all")->capture_default_str(),
      .iterations =
          app.add_option(prefix + "iterations", scales.iterations, "of Sinkhorn, at most")->capture_default_str(),
      .repeats = app.add_option(prefix + "repeats", scales.repeats, "passes over all edges")->capture_default_str()};
  if (fold == nullptr) return searched;
  for (CLI::Option* flag : {chosen, rounding, searched.tile, searched.iterations, searched.repeats}) flag->needs(fold);
  return searched;
}

}  // namespace fold_program
