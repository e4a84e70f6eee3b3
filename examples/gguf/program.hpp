#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace gguf {

/// The program `sinq-gguf`: runs one command line (without the program's name) and returns the exit status. Results go
/// to `out`, errors to `err`.
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace gguf
