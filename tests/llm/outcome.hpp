#pragma once

#include "llm/program.hpp"

#include <sstream>
#include <string>
#include <vector>

namespace llm::test {

/// What sinq-lm answered.
struct Outcome {
  int status = 0;
  std::string out, err;
};

inline Outcome run(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int status = run_program(arguments, out, err);
  return {status, out.str(), err.str()};
}

}  // namespace llm::test
