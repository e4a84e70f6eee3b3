#pragma once

#include "llm/program.hpp"
#include "support/outcome.hpp"

#include <string>
#include <vector>

namespace llm::test {

using sinq::test::Outcome;

/// One command line of sinq-lm.
inline Outcome run(const std::vector<std::string>& arguments) {
  return sinq::test::outcome_of(&run_program, arguments);
}

}  // namespace llm::test
