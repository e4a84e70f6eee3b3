#pragma once

#include <sinq/fold/scales.hpp>

#include <CLI/CLI.hpp>

#include <string>

namespace fold_program {

/// The flags that --search decides.
struct SearchedFlags {
  CLI::Option *tile, *iterations, *repeats;
};

/// Adds the flags of sinq::fold::ScaleOptions, each with `prefix` ("--", "--fold-") before its name. All of them need
/// the flag `fold`, if there is one.
SearchedFlags add_scale_flags(CLI::App& app, const std::string& prefix, sinq::fold::ScaleOptions& scales,
                              CLI::Option* fold = nullptr);

}  // namespace fold_program
