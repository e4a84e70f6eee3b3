#pragma once

#include <sinq/io/safetensors_writer.hpp>

#include "quantize/program.hpp"
#include "support/outcome.hpp"
#include "unit/io/io_support.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace convert::test {

using sinq::test::Outcome;
using sinq_test::TemporaryFolder;

inline const std::filesystem::path kModel = std::filesystem::path(SINQ_TEST_SOURCE_DIR) / "examples/data/lm1m";

/// One command line in this process.
inline Outcome run(const std::vector<std::string>& arguments) {
  return sinq::test::outcome_of(&run_program, arguments);
}

/// The program as a process of its own, with its output thrown away.
class Process {
 public:
  /// `prepare` runs in the child before the program.
  template <class Prepare>
  Process(const std::vector<std::string>& arguments, Prepare prepare) {
    std::vector<char*> argv{const_cast<char*>(SINQ_QUANTIZE)};
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    id_ = ::fork();
    if (id_ != 0) return;
    if (std::freopen("/dev/null", "w", stdout) == nullptr || std::freopen("/dev/null", "w", stderr) == nullptr) {
      ::_exit(126);
    }
    prepare();
    ::execv(SINQ_QUANTIZE, argv.data());
    ::_exit(127);
  }
  explicit Process(const std::vector<std::string>& arguments) : Process(arguments, [] {}) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (id_ > 0) kill();
  }

  /// The exit status; -1 if it was killed.
  int wait() {
    int status = 0;
    ::wait4(std::exchange(id_, -1), &status, 0, &usage_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int kill() {
    ::kill(id_, SIGKILL);
    return wait();
  }
  /// Of a process that has ended.
  [[nodiscard]] std::uint64_t peak_memory() const { return static_cast<std::uint64_t>(usage_.ru_maxrss) * 1024; }

 private:
  ::pid_t id_ = -1;
  ::rusage usage_{};
};

/// The files of a folder and their contents, without what the program keeps for itself.
inline std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  if (!std::filesystem::exists(folder)) return out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) out.emplace(entry.path().filename().string(), sinq_test::content_of(entry.path()));
  }
  return out;
}

/// Sizes of all files of such contents.
inline std::uint64_t total_bytes(const std::map<std::string, std::string>& files) {
  std::uint64_t sum = 0;
  for (const auto& [name, content] : files) sum += content.size();
  return sum;
}

/// Same names, same bytes; a difference is not printed whole.
inline void expect_same(const std::map<std::string, std::string>& a, const std::map<std::string, std::string>& b) {
  for (const auto& [name, content] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(b.at(name) == content) << name;
  }
  EXPECT_EQ(a.size(), b.size());
}

/// A folder with a config.json and these tensors in one file.
inline void write_model(const std::filesystem::path& folder, const std::vector<sinq::io::TensorData>& tensors) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << "{}";
  sinq::io::write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace convert::test
