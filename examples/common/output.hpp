#pragma once

#include <sinq/io/atomic_file.hpp>
#include <sinq/io/atomic_folder.hpp>
#include <sinq/io/output_path.hpp>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace common {

using sinq::io::Existing;
using Paths = std::vector<std::filesystem::path>;

/// --force, the same in all programs that write.
inline CLI::Option* add_force_flag(CLI::App& app, Existing& existing) {
  return app.add_flag_callback(
      "--force", [&existing] { existing = Existing::kReplaced; }, "replace output that exists already");
}

/// How the programs say that something is in the way.
[[nodiscard]] inline std::string exists_text(const std::filesystem::path& output) {
  return output.string() + ": exists already; --force replaces it";
}

/// Throws kBadConfig if `output` is, holds or lies in one of `inputs` (empty paths are none).
inline void require_apart(const std::filesystem::path& output, const Paths& inputs) {
  for (const auto& input : inputs) {
    if (!input.empty()) sinq::io::require_apart(output, input);
  }
}

/// Throws kBadConfig as `require_apart`, or if `output` exists and is not to be replaced.
inline void require_new(const std::filesystem::path& output, Existing existing, const Paths& inputs) {
  require_apart(output, inputs);
  if (existing == Existing::kRefused && std::filesystem::exists(output)) {
    throw sinq::Error(sinq::Errc::kBadConfig, exists_text(output));
  }
}

/// A file that a program writes when all is done. What can be wrong with its path is found before the work.
class OutputFile {
 public:
  /// An empty path: none is wanted. Throws as `require_new`, and kIo if it cannot be created; creates nothing.
  OutputFile(std::filesystem::path path, Existing existing, const Paths& inputs) : path_(std::move(path)) {
    if (path_.empty()) return;
    static_cast<void>(sinq::io::output_file(path_));  // a device is no file that exists
    require_new(path_, existing, inputs);
    const sinq::io::AtomicFile attempt(path_);
  }
  [[nodiscard]] bool wanted() const noexcept { return !path_.empty(); }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// The whole file, or nothing. Throws kIo.
  void write(const std::string& text) const {
    if (!wanted()) return;
    sinq::io::AtomicFile file(path_);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace common
