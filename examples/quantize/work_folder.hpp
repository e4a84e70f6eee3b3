#pragma once

#include "llm/json_file.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace convert {

/// The output folder holds something else, which nobody allowed to be replaced.
class Conflict : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Writes a file beside its name and renames it; leaves it alone if it has that content already. Throws kIo.
void write_atomically(const std::filesystem::path& path, const std::string& content);
/// The same with the content of another file, in parts. Throws kIo.
void copy_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// A finished shard, wherever it lies, and the text that says so.
struct FinishedShard {
  std::filesystem::path file;
  llm::Json state;  ///< {"identity", "bytes", "xxh64", "layers": [...] or null}
};

/// An output folder and what happens in it. Shards are finished in the folder `.sinq-quantize` of it, each beside a
/// small file that says what it is and how its bytes sum up; they move to the output folder when all of them are there.
/// So a model there is whole, and whoever comes after a killed run knows what is good.
class WorkFolder {
 public:
  explicit WorkFolder(std::filesystem::path out);

  [[nodiscard]] const std::filesystem::path& out() const noexcept { return out_; }
  /// Where a shard is to be written.
  [[nodiscard]] std::filesystem::path shard_path(const std::string& shard) const { return folder_ / shard; }

  /// Whether an earlier run has worked here.
  [[nodiscard]] bool exists() const { return std::filesystem::is_directory(folder_); }

  /// Creates the folders. Throws kIo.
  void create() const;

  /// Says that the shard at `shard_path` is finished: its size and checksum are taken from the file.
  void finish(const std::string& shard, const llm::Json& identity, const llm::Json& layers) const;

  /// The finished shards, by name. Nothing is verified.
  [[nodiscard]] std::map<std::string, FinishedShard> finished() const;

  /// Forgets a shard that is of no use. What lies in the output folder stays.
  void forget(const std::string& shard) const;

  /// Files of a model in the output folder, by name.
  [[nodiscard]] std::vector<std::string> model_files() const;

  /// Moves a finished shard to the output folder, if it is not there already.
  void publish(const std::string& shard, const FinishedShard& finished) const;
  /// Removes what killed runs left.
  void clean() const;

 private:
  std::filesystem::path out_;
  std::filesystem::path folder_;
};

/// Whether the file of a finished shard still is what it was. Reads all of it.
[[nodiscard]] bool is_intact(const FinishedShard& shard);

}  // namespace convert
