#pragma once

#include <sinq/error.hpp>
#include <sinq/io/printable.hpp>

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <initializer_list>
#include <iostream>
#include <string>
#include <vector>

namespace common {

/// What went wrong, with the program's name in front. It may quote files, so nothing reaches the terminal as it is.
inline void print_error(const CLI::App& app, const std::exception& error, std::ostream& err) {
  err << app.get_name() << ": " << sinq::io::printable(error.what()) << "\n";
}

/// Throws kIo if something that was written to `out` is lost, e.g. because a disk is full.
inline void require_written(std::ostream& out) {
  const bool lost = !out.flush() || (&out == &std::cout && std::ferror(stdout) != 0);
  if (lost) throw sinq::Error(sinq::Errc::kIo, "standard output: cannot be written");
}

/// Runs one command line (without the program's name): parses it, calls `action`, sees to it that all of `out` is
/// written. Returns the exit status: 0, `failed(error)` after a message on `err`, CLI11's for a mistaken command line.
template <class Action, class Failed>
int run_command_line(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err,
                     Action&& action, Failed&& failed) {
  const auto guarded = [&](auto&& body) {
    try {
      return body();
    } catch (const CLI::ParseError&) {
      throw;
    } catch (const std::exception& error) {
      print_error(app, error, err);
      return static_cast<int>(failed(error));
    }
  };
  try {
    return guarded([&] {
      std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
      app.parse(reversed);
      action();
      require_written(out);
      return 0;
    });
  } catch (const CLI::ParseError& answer) {  // help, too
    return guarded([&] {
      const int status = app.exit(answer, out, err);
      require_written(out);
      return status;
    });
  }
}

/// The same for programs that know one way to fail.
template <class Action>
int run_command_line(CLI::App& app, const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err,
                     Action&& action) {
  return run_command_line(app, arguments, out, err, action, [](const std::exception&) { return 1; });
}

/// A program's main: standard output and error.
template <class Action>
int run_main(CLI::App& app, int argc, char** argv, Action&& action) {
  return run_command_line(app, {argv + 1, argv + argc}, std::cout, std::cerr, action);
}

/// Throws kBadConfig if one of `flags` was given, as far as the app has them: "--bits is of no use ...".
inline void refuse_flags(const CLI::App& app, std::initializer_list<const char*> flags, const std::string& why) {
  for (const char* flag : flags) {
    const CLI::Option* option = app.get_option_no_throw(flag);
    if (option != nullptr && option->count() != 0) {
      throw sinq::Error(sinq::Errc::kBadConfig, std::string(flag) + " " + why);
    }
  }
}

}  // namespace common
