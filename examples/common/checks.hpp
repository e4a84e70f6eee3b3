#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace common {

// CLI11's own checks of these name the largest number of all as the end of the range.

inline const CLI::Validator kNotNegative(
    [](std::string& text) {
      double value = 0;
      return CLI::detail::lexical_cast(text, value) && value >= 0 ? std::string()
                                                                  : text + " is not 0 or a positive number";
    },
    "NONNEGATIVE");

inline const CLI::Validator kPositive(
    [](std::string& text) {
      double value = 0;
      return CLI::detail::lexical_cast(text, value) && value > 0 ? std::string() : text + " is not a positive number";
    },
    "POSITIVE");

}  // namespace common
