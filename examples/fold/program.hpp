#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace fold_program {

/// The program `sinq-fold`: runs one command line (without the program's name) and returns the exit status. Results go
/// to `out`, errors to `err`.
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace fold_program
