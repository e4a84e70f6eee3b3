#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace convert {

/// How the program ends, for scripts.
enum ExitCode : int {
  kDone = 0,
  kRefused = 1,   ///< the model or the settings cannot be converted
  kUsage = 2,     ///< the command line is not understood
  kSystem = 3,    ///< the system refused something: a missing file, a full disk; the same command goes on from there
  kConflict = 4,  ///< the output folder holds something else
};

/// The program `sinq-quantize`: runs one command line (without the program's name) and returns the exit status. Results
/// go to `out`, errors to `err`.
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace convert
