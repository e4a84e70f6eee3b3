#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace sinq::test {

/// What one command line of a program came to.
struct Outcome {
  int status = 0;
  std::string out, err;
};

/// Of a program in this process, a function int(arguments, out, err).
template <class Program>
Outcome outcome_of(Program program, const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int status = program(arguments, out, err);
  return {status, out.str(), err.str()};
}

}  // namespace sinq::test
