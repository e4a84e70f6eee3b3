#include "fold/scale_flags.hpp"

#include <map>
#include <vector>

namespace fold_program {
namespace {

using sinq::fold::EdgeChoice;
using sinq::fold::FactorRounding;

const std::map<std::string, FactorRounding> kRoundings{{"none", FactorRounding::kNone},
                                                       {"power-of-two", FactorRounding::kPowerOfTwo}};
const std::map<std::string, bool EdgeChoice::*> kEdges{{"norms", &EdgeChoice::norms},
                                                       {"up-down", &EdgeChoice::up_down},
                                                       {"value-output", &EdgeChoice::value_output},
                                                       {"head", &EdgeChoice::head}};

template <class Value>
CLI::IsMember one_of(const std::map<std::string, Value>& names) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : names) keys.push_back(key);
  return CLI::IsMember(keys);
}

}  // namespace

SearchedFlags add_scale_flags(CLI::App& app, const std::string& prefix, sinq::fold::ScaleOptions& scales) {
  app.add_option_function<std::vector<std::string>>(
         prefix + "edges",
         [&scales](const std::vector<std::string>& names) {
           scales.edges = {.norms = false, .up_down = false, .value_output = false, .head = false};
           for (const std::string& name : names) scales.edges.*kEdges.at(name) = true;
         },
         "what is folded (default norms,up-down,value-output)")
      ->delimiter(',')
      ->check(one_of(kEdges));
  app.add_option_function<std::string>(
         prefix + "rounding", [&scales](const std::string& name) { scales.rounding = kRoundings.at(name); },
         "of the factors (default none); powers of two leave bf16 and f16 mantissas as they are")
      ->check(one_of(kRoundings));
  return {
      .tile = app.add_option(prefix + "tile", scales.tile, "channels balanced together; 0: all")->capture_default_str(),
      .iterations =
          app.add_option(prefix + "iterations", scales.iterations, "of Sinkhorn, at most")->capture_default_str(),
      .repeats = app.add_option(prefix + "repeats", scales.repeats, "passes over all edges")->capture_default_str()};
}

}  // namespace fold_program
